//! What `manifests/deploy` tells kubectl, and in which order; a script is in kubectl's place.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
};

use manifests::Tree;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Notes its words, and answers out of files beside it. `late` says how often the rollout of irmgard fails, `pods` how many of a
/// workload are wanted, in lines `name count`.
const KUBECTL: &str = r#"#!/usr/bin/env bash
set -eu
cd "$(dirname "$0")"
echo "$*" >>said
case $* in
    kustomize*) cat built ;;
    'apply set-last-applied'*) cat >forgotten ;;
    'apply '*) cat >applied ;;
    *spec.replicas*) sed -n "s/^$3 //p" pods ;;
    'get deployment irmgard '*) cat last ;;
    'get statefulsets --namespace irmgard '*) echo statefulset.apps/postgres ;;
    'get daemonsets,deployments --namespace irmgard '*) echo deployment.apps/irmgard ;;
    'get daemonsets,deployments --namespace irmgard-fluentd '*) echo daemonset.apps/fluentd ;;
    *progressDeadlineSeconds*) echo 60 ;;
    'rollout status statefulset.apps/postgres '*) [[ ! -e stuck ]] ;;
    'rollout status deployment.apps/irmgard '*)
        left=$(cat late)
        echo $((left - 1)) >late
        ((left <= 0)) || exit 1 ;;
    *condition=Progressing*) [[ -e comes ]] ;;
esac
"#;

/// A deployment of an overlay: the folder of the script in kubectl's place, and how it ended.
fn deployed(tree: &Tree, overlay: &str, last: &str, late: u32, comes: bool) -> (TempDir, Output) {
    let (folder, mut command) = prepared(tree, overlay);
    let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    file("last", last);
    file("late", &late.to_string());
    if comes {
        file("comes", "");
    }
    let output = command.output().unwrap();
    (folder, output)
}

/// A deployment into a cluster that has such `pods`.
fn over(tree: &Tree, overlay: &str, pods: &str, shrink: &str) -> (Vec<String>, Output) {
    let (folder, mut command) = prepared(tree, overlay);
    fs::write(folder.path().join("pods"), pods).unwrap();
    let output = command.env("DEPLOY_SHRINK", shrink).output().unwrap();
    (said(&folder), output)
}

/// The folder of the script in kubectl's place, before a deployment into an empty cluster.
fn prepared(tree: &Tree, overlay: &str) -> (TempDir, Command) {
    let folder = tempfile::tempdir().unwrap();
    let built = tree.text(&format!("overlays/{overlay}")).unwrap();
    let files = [
        ("built", built.as_str()),
        ("last", ""),
        ("late", "0"),
        ("pods", ""),
        ("kubectl", KUBECTL),
    ];
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let kubectl = folder.path().join("kubectl");
    fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(tree.path().join("manifests/deploy"));
    command
        .arg(overlay)
        .env("KUBECTL", kubectl)
        .env_remove("DEPLOY_SHRINK");
    (folder, command)
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

#[test]
fn no_data_service_loses_a_pod_by_the_wrong_overlay() {
    let Some(tree) = Tree::new("deployments with fewer pods").unwrap() else {
        return;
    };
    for service in ["postgres", "rabbitmq", "opensearch"] {
        let three = format!("{service} 3");
        let (said, output) = over(&tree, "minikube", &three, "");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let changes = |line: &&String| !line.starts_with("kustomize ") && !line.starts_with("get ");
        assert_eq!(said.iter().find(changes), None, "{service} was refused too late");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            told.contains(&format!("deploy: {service} has 3 pods, and 1 in ")),
            "{told}"
        );
        let how = format!("manifests/components/{service}-three/kustomization.yaml");
        assert!(told.contains(&how) && tree.path().join(how).is_file(), "{told}");

        let (said, output) = over(&tree, "minikube", &three, "1");
        assert!(output.status.success(), "{output:?}");
        place(&said, "apply --filename");
    }
    for (overlay, pods) in [
        ("ha", "postgres 3"),
        ("ha", "postgres 1"),
        ("minikube", "postgres 0"),
    ] {
        let (_, output) = over(&tree, overlay, pods, "");
        assert!(output.status.success(), "{overlay} over {pods}: {output:?}");
    }
}

#[test]
fn what_an_autoscaler_has_at_nothing_gets_a_pod() {
    let Some(tree) = Tree::new("deployments of what stands at 0").unwrap() else {
        return;
    };
    let (said, output) = over(&tree, "ha", "irmgard 0\nanonymizer 4", "");
    assert!(output.status.success(), "{output:?}");
    let order = [
        "apply --filename",
        "scale deployment irmgard --namespace irmgard --replicas 1",
        "rollout status deployment.apps/irmgard",
    ]
    .map(|begin| place(&said, begin));
    assert!(order.is_sorted(), "{said:#?}");
    assert!(
        !said
            .iter()
            .any(|line| line.starts_with("scale deployment anonymizer")),
        "{said:#?}"
    );
}

#[test]
fn a_data_service_that_takes_long_may_be_waited_for_again() {
    let Some(tree) = Tree::new("a data service that takes long").unwrap() else {
        return;
    };
    let (folder, mut command) = prepared(&tree, "ha");
    fs::write(folder.path().join("stuck"), "").unwrap();
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        told.contains("statefulset.apps/postgres has not rolled, and goes on"),
        "{told}"
    );
}
