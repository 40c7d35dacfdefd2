//! A real cluster, where `LOGQ_TEST_KUBECONFIG` names one.

use std::env;

use crate::{documents, logq, text};

#[test]
fn the_pods_of_a_real_cluster_are_asked() {
    let Some(kubeconfig) = env::var_os("LOGQ_TEST_KUBECONFIG") else {
        local::not_tested("logq's questions to the pods of a real cluster: LOGQ_TEST_KUBECONFIG names none");
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
        text(&output.stderr).contains("context was not found"),
        "{}",
        text(&output.stderr)
    );
}
