//! Errors while reading pods.

use std::{path::Path, process::Command};

use crate::{Pods, text, words};

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
        (
            "forbidden",
            "permission denied: Error from server (Forbidden): pods \"postgres-0\"",
        ),
        (
            "unread",
            "its node reports: unable to retrieve container logs for",
        ),
        ("breaks", "kubectl: unexpected EOF"),
    ] {
        let pods = Pods::with_world();
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
    let pods = Pods::with_world();
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
    let pods = Pods::with_world();
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
    let pods = Pods::empty();
    let lines = "2026-11-22T10:00:00Z stdout F one\n2026-11-22T10:00:01Z stdout F two\n";
    // After the newest start has ended, kubectl prints the same lines with `--previous`.
    pods.add("again", &[lines, lines]);
    let output = pods.logq(&["-o", "jsonl"]).output().unwrap();
    assert_eq!(words(&output), ["one", "two"]);
}

#[test]
fn kubectl_errors_are_reported() {
    let pods = Pods::with_world();
    for (stderr, message) in [
        (
            "The connection to the server localhost:8080 was refused - did you specify the right host or \
             port?",
            "logq: error: kubectl cannot reach the cluster: The connection to the server localhost:8080 was \
             refused",
        ),
        (
            "error: You must be logged in to the server (Unauthorized)",
            "logq: error: the cluster rejected the credentials",
        ),
        ("error: what is this", "logq: error: kubectl: what is this"),
    ] {
        let mut command = pods.logq(&[]);
        command.env("STAND_IN_SAYS", stderr);
        fails(command, &[message]);
    }
    fails(
        pods.logq(&["-n", "forbidden"]),
        &["cannot list pods", "cannot list resource", "with -n"],
    );
    fails(
        pods.logq(&["--kube-context", "nope"]),
        &["context was not found for specified context: nope"],
    );
    fails(
        pods.logq(&["--kubeconfig", "/nowhere/at/all"]),
        &["stat /nowhere/at/all: no such file"],
    );
    let mut command = pods.logq(&[]);
    command.env("LOGQ_KUBECTL", "/nowhere/kubectl");
    fails(
        command,
        &["/nowhere/kubectl: the program does not exist", "LOGQ_KUBECTL"],
    );
    std::fs::write(pods.path("pods.json"), "{").unwrap();
    fails(pods.logq(&[]), &["logq: error: kubectl: EOF"]);
}

#[test]
fn name_never_becomes_an_option() {
    let pods = Pods::empty();
    pods.add("--help", &["2026-11-22T10:00:00Z stdout F safe\n"]);
    let output = pods.logq(&["-o", "jsonl"]).output().unwrap();
    assert_eq!(words(&output), ["safe"], "{}", text(&output.stderr));
    fails(
        pods.logq(&["--kube-context=--help"]),
        &["for specified context: --help"],
    );
    pods.calls();
    let output = pods.logq(&["--namespace=--all-namespaces"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(pods.calls()[0].contains(" --namespace=--all-namespaces "));
}

#[test]
fn no_kubectl_process_outlives_logq() {
    let pods = Pods::empty();
    let line = "2026-11-22T10:00:00Z stdout F a line of text\n";
    pods.add("long", &[&line.repeat(200_000)]);
    crate::pipe::ends_quietly_when_closed(&mut pods.logq(&[]));
    // The process was killed, so it did not record its end.
    let calls = pods.calls();
    assert_eq!(
        calls
            .iter()
            .filter(|call| call.starts_with('-') && call.contains(" logs "))
            .count(),
        0,
        "{calls:?}"
    );
}

#[test]
fn lingering_kubectl_is_killed() {
    for (call, shown) in [("get", ""), ("logs", "q1 i1 d1 i2 a1 i3 d2 s1 a2 i4")] {
        let pods = Pods::with_world();
        let mut command = pods.logq(&["-o", "jsonl"]);
        command.env("STAND_IN_STAYS", call);
        let output = command.output().unwrap();
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(
            errors.contains("it closed its output but did not exit"),
            "{errors}"
        );
        assert_eq!(words(&output).join(" "), shown, "{errors}");
        for call in pods.calls() {
            let process = call.split(' ').nth(1).unwrap();
            assert!(!Path::new("/proc").join(process).exists(), "{call}");
        }
    }
}

#[test]
fn endless_pod_list_is_rejected() {
    let pods = Pods::with_world();
    let mut command = pods.logq(&[]);
    command.env("STAND_IN_ENDLESS", "get");
    fails(
        command,
        &["the list of pods is larger than 512 MiB", "with -n or -l"],
    );
}

#[test]
fn messages_are_escaped_for_the_terminal() {
    let pods = Pods::with_world();
    let mut command = pods.logq(&[]);
    command.env("STAND_IN_SAYS", "error: \u{1b}]0;x\u{7}");
    let output = command.output().unwrap();
    assert!(!output.stderr.contains(&0x1b), "{}", text(&output.stderr));
}
