//! What `manifests/deploy` tells kubectl, and in which order; a script is in kubectl's place.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
};

use manifests::Tree;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Notes its words, and answers out of files beside it. `late` says how often the rollout of irmgard fails.
const KUBECTL: &str = r#"#!/usr/bin/env bash
set -eu
cd "$(dirname "$0")"
echo "$*" >>said
case $* in
    kustomize*) cat built ;;
    'apply set-last-applied'*) cat >forgotten ;;
    'apply '*) cat >applied ;;
    'get deployment irmgard '*) cat last ;;
    'get statefulsets --namespace irmgard '*) echo statefulset.apps/postgres ;;
    'get daemonsets,deployments --namespace irmgard '*) echo deployment.apps/irmgard ;;
    'get daemonsets,deployments --namespace irmgard-fluentd '*) echo daemonset.apps/fluentd ;;
    *progressDeadlineSeconds*) echo 60 ;;
    'rollout status deployment.apps/irmgard '*)
        left=$(cat late)
        echo $((left - 1)) >late
        ((left <= 0)) || exit 1 ;;
    *condition=Progressing*) [[ -e comes ]] ;;
esac
"#;

/// A deployment of an overlay: the folder of the script in kubectl's place, and how it ended.
fn deployed(tree: &Tree, overlay: &str, last: &str, late: u32, comes: bool) -> (TempDir, Output) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    file("built", &tree.text(&format!("overlays/{overlay}")).unwrap());
    file("last", last);
    file("late", &late.to_string());
    if comes {
        file("comes", "");
    }
    file("kubectl", KUBECTL);
    let kubectl = folder.path().join("kubectl");
    fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new(tree.path().join("manifests/deploy"))
        .arg(overlay)
        .env("KUBECTL", kubectl)
        .output()
        .unwrap();
    (folder, output)
}

fn said(folder: &TempDir) -> Vec<String> {
    let text = fs::read_to_string(folder.path().join("said")).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The place of the one command that begins so.
fn place(said: &[String], begin: &str) -> usize {
    said.iter()
        .position(|line| line.starts_with(begin))
        .unwrap_or_else(|| panic!("no `{begin}` in {said:#?}"))
}

/// What kubectl remembers of a Deployment that had two pods.
fn remembered() -> Value {
    json!({
        "kind": "Deployment",
        "metadata": { "annotations": { "other": r#"{"replicas":2,"selector":{}}"# } },
        "spec": { "progressDeadlineSeconds": 180, "replicas": 2, "selector": {} },
    })
}

#[test]
fn an_autoscaler_takes_over_as_many_pods_as_there_are() {
    let Some(tree) = Tree::new("deployments of an autoscaler").unwrap() else {
        return;
    };
    let (folder, output) = deployed(&tree, "ha", &remembered().to_string(), 0, true);
    assert!(output.status.success(), "{output:?}");
    let said = said(&folder);
    assert!(
        place(&said, "apply set-last-applied") < place(&said, "apply --filename"),
        "{said:#?}"
    );
    let forgotten = fs::read_to_string(folder.path().join("forgotten")).unwrap();
    let mut wanted = remembered();
    wanted["spec"].as_object_mut().unwrap().remove("replicas");
    assert_eq!(serde_json::from_str::<Value>(&forgotten).unwrap(), wanted);

    let last = wanted.to_string();
    for (overlay, last) in [
        ("ha", ""),
        ("ha", last.as_str()),
        ("minikube", &remembered().to_string()),
    ] {
        let (folder, output) = deployed(&tree, overlay, last, 0, true);
        assert!(output.status.success(), "{output:?}");
        assert!(!folder.path().join("forgotten").exists(), "{overlay}, {last}");
    }
}

#[test]
fn programs_are_waited_for_when_their_servers_are_there() {
    let Some(tree) = Tree::new("the order of a deployment").unwrap() else {
        return;
    };
    // It has been late once: its servers' images took long.
    let (folder, output) = deployed(&tree, "minikube", "", 1, true);
    assert!(output.status.success(), "{output:?}");
    let said = said(&folder);
    let order = [
        "kustomize",
        "delete jobs",
        "apply --filename",
        "rollout status statefulset.apps/postgres",
        "wait jobs",
        "rollout status deployment.apps/irmgard",
        "wait deployment.apps/irmgard --for=condition=Progressing",
        "rollout status daemonset.apps/fluentd --namespace irmgard-fluentd",
    ]
    .map(|begin| place(&said, begin));
    assert!(order.is_sorted(), "{said:#?}");

    let (_, output) = deployed(&tree, "minikube", "", 1, false);
    assert!(
        !output.status.success(),
        "a release that does not come was taken for good"
    );
}
