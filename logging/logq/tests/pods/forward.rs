//! Failing port-forwards: logq reads the pods and explains why.

use std::{net::TcpStream, process::Output, time::Duration};

use crate::{
    PodsFixture,
    api_server::ForwardFault::{self, Forbidden, Pending, Refused, Scaled, Silent},
    text, words,
};

const PLACE: &str = "kubernetes://irmgard/opensearch";

fn run(pods: &PodsFixture, source: &str, url: &str, fault: Option<ForwardFault>) -> Output {
    pods.server.set_opensearch("127.0.0.1:1");
    pods.server.set_forward_fault(fault);
    pods.logq(&["-o", "jsonl", "--source", source])
        .env("LOGQ_OPENSEARCH_URL", url)
        .output()
        .unwrap()
}

/// Faults and the expected messages.
const FAULTS: [(&str, Option<ForwardFault>, &[&str]); 7] = [
    (
        PLACE,
        Some(Forbidden),
        &[
            "permission denied: pods \"opensearch-0\" is forbidden",
            "create on pods/portforward",
        ],
    ),
    (
        PLACE,
        Some(Pending),
        &["is not running there", "opensearch-0 is Pending"],
    ),
    (
        PLACE,
        Some(Scaled),
        &[
            "is not running there",
            "no pod matches its service (app.kubernetes.io/name=opensearch). Is it scaled to 0?",
        ],
    ),
    (
        PLACE,
        Some(Refused),
        &["is not running there", "connection refused"],
    ),
    (PLACE, Some(Silent), &["was not ready within 5s"]),
    (
        "kubernetes://irmgard/elsewhere",
        None,
        &[
            "the service does not exist",
            "services \"elsewhere\" not found",
            "kubernetes://NAMESPACE/SERVICE",
        ],
    ),
    (
        "kubernetes://irmgard/opensearch:9300",
        None,
        &["the service does not exist", "does not have a service port 9300"],
    ),
];

#[test]
fn fallback_to_pods_is_explained() {
    let pods = PodsFixture::with_world();
    for (url, fault, parts) in FAULTS {
        let output = run(&pods, "auto", url, fault);
        let message = text(&output.stderr);
        assert_eq!(
            (words(&output).len(), output.status.code()),
            (10, Some(0)),
            "{fault:?}: {message}"
        );
        let place = url.trim_start_matches("kubernetes://");
        assert!(
            message.starts_with(&format!(
                "logq: OpenSearch is unreachable through a port-forward to {place}: "
            )),
            "{message}"
        );
        assert!(
            message.contains("logq reads the pods of the context there instead"),
            "{message}"
        );
        for part in parts {
            assert!(message.contains(part), "{part} is missing in {message}");
        }
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn failed_port_forward_is_an_error_for_opensearch_only() {
    let pods = PodsFixture::with_world();
    for (url, fault, parts) in FAULTS {
        let output = run(&pods, "opensearch", url, fault);
        let message = text(&output.stderr);
        assert_eq!(
            (words(&output).len(), output.status.code()),
            (0, Some(2)),
            "{fault:?}: {message}"
        );
        for part in parts {
            assert!(message.contains(part), "{part} is missing in {message}");
        }
    }
}

#[test]
fn missing_kubeconfig_or_context_ends_the_search() {
    let pods = PodsFixture::with_world();
    for source in ["auto", "opensearch"] {
        let mut missing = pods.logq(&["--source", source]);
        missing.env("KUBECONFIG", "/nowhere/kubeconfig");
        let mut context = pods.logq(&["--source", source, "--kube-context", "nowhere"]);
        for (command, part) in [
            (
                &mut missing,
                "no kubeconfig: /nowhere/kubeconfig does not exist, and logq does not run in a pod",
            ),
            (&mut context, "it has no context nowhere; it has: there"),
        ] {
            let output = command.env("LOGQ_OPENSEARCH_URL", PLACE).output().unwrap();
            let message = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{message}");
            assert!(message.contains(part), "{part} is missing in {message}");
        }
    }
    assert_eq!(pods.server.requests(), Vec::<String>::new());
}

#[test]
fn invalid_urls_are_reported() {
    let pods = PodsFixture::empty();
    for (variables, message) in [
        (
            [("LOGQ_OPENSEARCH_URL", "kubernetes://irmgard")].as_slice(),
            "LOGQ_OPENSEARCH_URL must be kubernetes://NAMESPACE/SERVICE",
        ),
        (
            &[
                ("LOGQ_OPENSEARCH_URL", PLACE),
                ("LOGQ_OPENSEARCH_CLIENT_CERT", "/dev/null"),
                ("LOGQ_OPENSEARCH_CLIENT_KEY", "/dev/null"),
            ],
            "LOGQ_OPENSEARCH_CLIENT_CERT does not work through a port-forward",
        ),
    ] {
        let output = pods
            .logq(&["--source", "auto"])
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(message), "{message}: {errors}");
    }
    assert_eq!(pods.server.requests(), Vec::<String>::new());
}

#[test]
fn default_url_tries_the_cluster_unless_credentials_are_set() {
    let here = "127.0.0.1:9200".parse().unwrap();
    if TcpStream::connect_timeout(&here, Duration::from_secs(1)).is_ok() {
        local::not_tested("the default address: another server listens at port 9200");
        return;
    }
    let pods = PodsFixture::with_world();
    pods.server.set_forward_fault(Some(Pending));
    let run = |variables: &[(&str, &str)]| {
        let mut command = pods.logq(&["--source", "auto", "-o", "jsonl"]);
        let output = command.envs(variables.iter().copied()).output().unwrap();
        assert_eq!(words(&output).len(), 10);
        (text(&output.stderr), pods.server.requests().join("\n"))
    };
    pods.server.set_opensearch("127.0.0.1:1");
    let (message, requests) = run(&[]);
    assert!(
        message.starts_with(
            "logq: LOGQ_OPENSEARCH_URL is not set, and nothing answers at http://localhost:9200. OpenSearch \
             is unreachable through a port-forward to irmgard/opensearch: "
        ),
        "{message}"
    );
    assert!(requests.contains("services/opensearch"), "{requests}");
    let (message, requests) = run(&[
        ("LOGQ_OPENSEARCH_USERNAME", "somebody"),
        ("LOGQ_OPENSEARCH_PASSWORD", "secret"),
    ]);
    assert!(
        message.contains("set LOGQ_OPENSEARCH_URL=kubernetes://irmgard/opensearch"),
        "{message}"
    );
    assert!(!requests.contains("services/opensearch"), "{requests}");
}
