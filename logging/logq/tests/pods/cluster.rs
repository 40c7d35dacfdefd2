//! Tests with a real cluster, if `LOGQ_TEST_KUBECONFIG` names one.

use std::env;

use crate::{documents, logq, text};

#[test]
fn pods_of_a_real_cluster_are_read() {
    let Some(kubeconfig) = env::var_os("LOGQ_TEST_KUBECONFIG") else {
        local::not_tested("pods of a real cluster: LOGQ_TEST_KUBECONFIG is not set");
        return;
    };
    let ask = |arguments: &[&str]| {
        let mut command = logq(arguments);
        command
            .env("KUBECONFIG", &kubeconfig)
            .env("LOGQ_SOURCE", "kubectl");
        command.output().unwrap()
    };
    let output = ask(&["-n", "kube-system", "-o", "jsonl"]);
    let errors = text(&output.stderr);
    let lines = documents(&output);
    assert!(!lines.is_empty(), "{errors}");
    for line in &lines {
        let has = |pointer: &str| line.pointer(pointer).is_some_and(|value| !value.is_null());
        assert!(
            ["/@timestamp", "/event/id", "/component", "/kubernetes/pod_uid"]
                .iter()
                .all(|name| has(name)),
            "{line}"
        );
        assert_eq!(line["kubernetes"]["namespace"], "kube-system");
    }
    let output = ask(&["--kube-context", "there is no such context"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("it has no context there is no such context"),
        "{}",
        text(&output.stderr)
    );
}

/// Works with and without OpenSearch in the cluster, and reports other servers.
#[test]
fn port_forward_into_a_real_cluster_opens() {
    let Some(kubeconfig) = env::var_os("LOGQ_TEST_KUBECONFIG") else {
        local::not_tested("a port-forward into a real cluster: LOGQ_TEST_KUBECONFIG is not set");
        return;
    };
    let ask = |address: &str| {
        let mut command = logq(&["--tail", "1", "-o", "jsonl"]);
        command
            .env("KUBECONFIG", &kubeconfig)
            .env("LOGQ_SOURCE", "opensearch")
            .env("LOGQ_OPENSEARCH_URL", address);
        command.output().unwrap()
    };
    for (address, message) in [
        // CoreDNS serves its metrics there, so the connection succeeds.
        (
            "kubernetes://kube-system/kube-dns:9153",
            "Does LOGQ_OPENSEARCH_URL point to OpenSearch?",
        ),
        (
            "kubernetes://kube-system/kube-dns:9999",
            "the service does not exist (Service kube-dns does not have a service port 9999)",
        ),
        (
            "kubernetes://kube-system/no-such-service",
            "the service does not exist (services \"no-such-service\" not found)",
        ),
    ] {
        let output = ask(address);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(message), "{message} is missing in {errors}");
    }
    let output = ask("kubernetes://irmgard/opensearch");
    let errors = text(&output.stderr);
    if errors.contains("is unreachable through a port-forward") {
        local::not_tested(&format!("search through a port-forward into a cluster: {errors}"));
        return;
    }
    assert!(output.status.code() != Some(2), "{errors}");
}
