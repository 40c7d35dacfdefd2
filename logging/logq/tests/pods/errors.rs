//! Errors while reading pods.

use std::process::Command;

use serde_json::json;

use crate::{
    PodsFixture,
    api_server::{ListFault, write_kubeconfig},
    text, words,
};

/// Checks for exit status 2 and these messages.
fn fails(mut command: Command, parts: &[&str]) {
    let output = command.output().unwrap();
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    for part in parts {
        assert!(errors.contains(part), "{part} is missing in {errors}");
    }
}

#[test]
fn unreadable_pods_are_reported_and_others_shown() {
    for (fault, message) in [
        (
            "gone",
            "photos/postgres-0, container postgres: the pod was deleted after it was listed",
        ),
        ("forbidden", "permission denied: pods \"postgres-0\" is forbidden"),
        (
            "unread",
            "its node reports: unable to retrieve container logs for",
        ),
        (
            "breaks",
            "container postgres: the connection to the cluster was lost: ",
        ),
    ] {
        let pods = PodsFixture::with_world();
        pods.fault("postgres-0", fault);
        for (arguments, rest) in [
            (["-o", "jsonl"].as_slice(), "q1 i1 i2 a1 i3 s1 a2 i4"),
            (&["-o", "jsonl", "-c", "irmgard", "--with-db"], "i1 i2 i3 i4"),
        ] {
            let output = pods.logq(arguments).output().unwrap();
            let errors = text(&output.stderr);
            let shown: Vec<String> = words(&output)
                .into_iter()
                .filter(|word| !word.starts_with('d'))
                .collect();
            assert_eq!(shown, rest.split(' ').collect::<Vec<_>>(), "{fault}");
            assert_eq!(output.status.code(), Some(2), "{fault}: {errors}");
            assert!(errors.contains(message), "{fault}: {errors}");
        }
    }
}

#[test]
fn missing_lines_of_a_photo_are_reported_once() {
    let pods = PodsFixture::with_world();
    pods.fault("postgres-0", "gone");
    let output = pods.logq(&["--photo", "17", "-o", "jsonl"]).output().unwrap();
    assert_eq!(words(&output), ["i1", "i2", "a1"]);
    assert_eq!(
        text(&output.stderr)
            .matches("was deleted after it was listed")
            .count(),
        1,
        "{}",
        text(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn pending_container_is_reported() {
    let pods = PodsFixture::with_world();
    pods.add("new", &[]);
    let output = pods.logq(&["-n", "photos", "-o", "jsonl"]).output().unwrap();
    assert_eq!(
        text(&output.stderr),
        "logq: photos/new, container main has not started and has no lines: ContainerCreating\n"
    );
    assert_eq!((words(&output).len(), output.status.code()), (10, Some(0)));
}

#[test]
fn container_restart_during_the_read_duplicates_no_line() {
    let pods = PodsFixture::empty();
    let lines = "2026-11-22T10:00:00Z stdout F one\n2026-11-22T10:00:01Z stdout F two\n";
    // After the newest start has ended, the API returns the same lines for the previous start.
    pods.add("again", &[lines, lines]);
    let output = pods.logq(&["-o", "jsonl"]).output().unwrap();
    assert_eq!(words(&output), ["one", "two"]);
}

#[test]
fn cluster_errors_are_reported() {
    let pods = PodsFixture::with_world();
    let status = |code, message: &str| ListFault::Status(code, message.to_owned());
    for (fault, message) in [
        (
            status(401, "Unauthorized"),
            "logq: error: the cluster rejected the credentials: Unauthorized. Renew the credentials",
        ),
        (
            status(500, "what is this"),
            "logq: error: the cluster answered 500: what is this",
        ),
        (
            ListFault::Text("{".to_owned()),
            "logq: error: the cluster's answer is not a list of pods: the list of pods is not valid JSON",
        ),
        (
            ListFault::Endless,
            "logq: error: the list of pods is larger than 64 MiB: choose fewer pods with -n or -l",
        ),
    ] {
        pods.server.set_list_fault(Some(fault));
        fails(pods.logq(&[]), &[message]);
    }
    pods.server.set_list_fault(None);
    fails(
        pods.logq(&["-n", "forbidden"]),
        &["cannot list pods", "cannot list resource", "with -n"],
    );
    write_kubeconfig(&pods.path(""), "http://127.0.0.1:1", json!({}));
    fails(
        pods.logq(&[]),
        &["logq: error: the cluster at http://127.0.0.1:1 is unreachable: Connection refused"],
    );
}

#[test]
fn kubeconfig_errors_are_reported() {
    let pods = PodsFixture::with_world();
    fails(
        pods.logq(&["--kube-context", "nope"]),
        &["invalid kubeconfig: it has no context nope; it has: there."],
    );
    fails(
        pods.logq(&["--kubeconfig", "/nowhere/at/all"]),
        &["cannot read /nowhere/at/all: No such file"],
    );
    let mut missing = pods.logq(&[]);
    missing.env("KUBECONFIG", "/nowhere/a:/nowhere/b");
    fails(missing, &["no kubeconfig: /nowhere/a, /nowhere/b does not exist"]);
    // Without KUBECONFIG, the default path.
    let mut default = pods.logq(&[]);
    default.env_remove("KUBECONFIG").env("HOME", "/nowhere");
    fails(default, &["no kubeconfig: /nowhere/.kube/config does not exist"]);
    // A missing file among others is skipped.
    let mut partial = pods.logq(&["-o", "jsonl"]);
    let kubeconfig = pods.path("kubeconfig");
    partial.env("KUBECONFIG", format!("/nowhere/a:{}", kubeconfig.display()));
    assert_eq!(words(&partial.output().unwrap()).len(), 10);
    std::fs::write(kubeconfig, "clusters: 5").unwrap();
    fails(
        pods.logq(&[]),
        &["invalid kubeconfig: failed to parse kubeconfig YAML"],
    );
}

#[test]
fn credential_plugin_is_run() {
    let pods = PodsFixture::with_world();
    pods.server.require_token("secret");
    let server = pods.server.url();
    let plugin = |script: &str| {
        let exec = json!({
            "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script],
            "interactiveMode": "IfAvailable",
        });
        write_kubeconfig(&pods.path(""), &server, json!({ "exec": exec }));
        pods.logq(&["-o", "jsonl"])
    };
    let credential = |token: &str| {
        let status = json!({ "token": token, "expirationTimestamp": "2126-11-22T10:00:00Z" });
        json!({ "kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": status })
    };
    let output = plugin(&format!("echo '{}'", credential("secret")))
        .output()
        .unwrap();
    assert_eq!(words(&output).len(), 10, "{}", text(&output.stderr));
    fails(
        plugin(&format!("echo '{}'", credential("wrong"))),
        &["the cluster rejected the credentials: Unauthorized"],
    );
    fails(
        plugin("echo the session has expired >&2; exit 3"),
        &[
            "no credentials for the cluster: the credential plugin failed (exit status: 3): the session has \
             expired. Log in again",
        ],
    );
    write_kubeconfig(
        &pods.path(""),
        &server,
        json!({ "exec": { "command": "/nowhere/plugin" } }),
    );
    fails(
        pods.logq(&[]),
        &["cannot run the credential plugin: No such file"],
    );
}

#[test]
fn name_never_becomes_an_option() {
    let pods = PodsFixture::empty();
    pods.add("--help", &["2026-11-22T10:00:00Z stdout F safe\n"]);
    let output = pods.logq(&["-o", "jsonl"]).output().unwrap();
    assert_eq!(words(&output), ["safe"], "{}", text(&output.stderr));
    fails(pods.logq(&["--kube-context=--help"]), &["no context --help"]);
    pods.server.requests();
    let output = pods.logq(&["--namespace=--all-namespaces"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert_eq!(
        pods.server.requests(),
        ["/api/v1/namespaces/--all-namespaces/pods?limit=500"]
    );
}

#[test]
fn streams_end_with_logq() {
    let pods = PodsFixture::empty();
    let line = "2026-11-22T10:00:00Z stdout F a line of text\n";
    pods.add("long", &[&line.repeat(200_000)]);
    crate::pipe::ends_quietly_when_closed(&mut pods.logq(&[]));
    pods.server.wait_until_closed();
}

#[test]
fn messages_are_escaped_for_the_terminal() {
    let pods = PodsFixture::with_world();
    let fault = ListFault::Status(500, "\u{1b}]0;x\u{7}".to_owned());
    pods.server.set_list_fault(Some(fault));
    let output = pods.logq(&[]).output().unwrap();
    assert!(!output.stderr.contains(&0x1b), "{}", text(&output.stderr));
}
