//! The commands of `manifests/deploy`, and their order. A script stands in for kubectl.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
};

use manifests::Tree;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Records its arguments, and answers from files beside it. `late`: how often the rollout of irmgard fails. `pods`: the replicas of
/// workloads, in lines `name count`.
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

/// Deploys an overlay. Returns the stand-in's folder, and the result.
fn deploy(tree: &Tree, overlay: &str, last: &str, late: u32, comes: bool) -> (TempDir, Output) {
    let (folder, mut command) = prepare(tree, overlay);
    let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    file("last", last);
    file("late", &late.to_string());
    if comes {
        file("comes", "");
    }
    let output = command.output().unwrap();
    (folder, output)
}

/// Deploys into a cluster with these `pods`. Returns the commands, and the result.
fn deploy_over(tree: &Tree, overlay: &str, pods: &str, shrink: &str) -> (Vec<String>, Output) {
    let (folder, mut command) = prepare(tree, overlay);
    fs::write(folder.path().join("pods"), pods).unwrap();
    let output = command.env("DEPLOY_SHRINK", shrink).output().unwrap();
    (commands(&folder), output)
}

/// The stand-in's folder, and a deployment into an empty cluster.
fn prepare(tree: &Tree, overlay: &str) -> (TempDir, Command) {
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

fn commands(folder: &TempDir) -> Vec<String> {
    let text = fs::read_to_string(folder.path().join("said")).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The position of the only command with this beginning.
fn position(commands: &[String], begin: &str) -> usize {
    commands
        .iter()
        .position(|line| line.starts_with(begin))
        .unwrap_or_else(|| panic!("no `{begin}` in {commands:#?}"))
}

/// kubectl's last applied configuration of a Deployment with two pods.
fn last_applied() -> Value {
    json!({
        "kind": "Deployment",
        "metadata": { "annotations": { "other": r#"{"replicas":2,"selector":{}}"# } },
        "spec": { "progressDeadlineSeconds": 180, "replicas": 2, "selector": {} },
    })
}

#[test]
fn an_autoscaler_starts_with_the_current_number_of_pods() {
    let Some(tree) = Tree::new("deployments of an autoscaler").unwrap() else {
        return;
    };
    let (folder, output) = deploy(&tree, "ha", &last_applied().to_string(), 0, true);
    assert!(output.status.success(), "{output:?}");
    let said = commands(&folder);
    assert!(
        position(&said, "apply set-last-applied") < position(&said, "apply --filename"),
        "{said:#?}"
    );
    let forgotten = fs::read_to_string(folder.path().join("forgotten")).unwrap();
    let mut wanted = last_applied();
    wanted["spec"].as_object_mut().unwrap().remove("replicas");
    assert_eq!(serde_json::from_str::<Value>(&forgotten).unwrap(), wanted);

    let last = wanted.to_string();
    for (overlay, last) in [
        ("ha", ""),
        ("ha", last.as_str()),
        ("minikube", &last_applied().to_string()),
    ] {
        let (folder, output) = deploy(&tree, overlay, last, 0, true);
        assert!(output.status.success(), "{output:?}");
        assert!(!folder.path().join("forgotten").exists(), "{overlay}, {last}");
    }
}

#[test]
fn programs_are_awaited_after_their_servers() {
    let Some(tree) = Tree::new("the order of a deployment").unwrap() else {
        return;
    };
    // The first wait fails, as with slow downloads of the servers' images.
    let (folder, output) = deploy(&tree, "minikube", "", 1, true);
    assert!(output.status.success(), "{output:?}");
    let said = commands(&folder);
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
    .map(|begin| position(&said, begin));
    assert!(order.is_sorted(), "{said:#?}");

    let (_, output) = deploy(&tree, "minikube", "", 1, false);
    assert!(
        !output.status.success(),
        "a release that does not come was taken for good"
    );
}

#[test]
fn a_wrong_overlay_removes_no_pod_of_a_data_service() {
    let Some(tree) = Tree::new("deployments with fewer pods").unwrap() else {
        return;
    };
    for service in ["postgres", "rabbitmq", "opensearch"] {
        let three = format!("{service} 3");
        let (said, output) = deploy_over(&tree, "minikube", &three, "");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let changes = |line: &&String| !line.starts_with("kustomize ") && !line.starts_with("get ");
        assert_eq!(said.iter().find(changes), None, "{service} was refused too late");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            told.contains(&format!("deploy: {service} has 3 pods, but only 1 in ")),
            "{told}"
        );
        let how = format!("manifests/components/{service}-three/kustomization.yaml");
        assert!(told.contains(&how) && tree.path().join(how).is_file(), "{told}");

        let (said, output) = deploy_over(&tree, "minikube", &three, "1");
        assert!(output.status.success(), "{output:?}");
        position(&said, "apply --filename");
    }
    for (overlay, pods) in [
        ("ha", "postgres 3"),
        ("ha", "postgres 1"),
        ("minikube", "postgres 0"),
    ] {
        let (_, output) = deploy_over(&tree, overlay, pods, "");
        assert!(output.status.success(), "{overlay} over {pods}: {output:?}");
    }
}

#[test]
fn a_workload_that_an_autoscaler_left_at_zero_gets_a_pod() {
    let Some(tree) = Tree::new("deployments of what stands at 0").unwrap() else {
        return;
    };
    let (said, output) = deploy_over(&tree, "ha", "irmgard 0\nanonymizer 4", "");
    assert!(output.status.success(), "{output:?}");
    let order = [
        "apply --filename",
        "scale deployment irmgard --namespace irmgard --replicas 1",
        "rollout status deployment.apps/irmgard",
    ]
    .map(|begin| position(&said, begin));
    assert!(order.is_sorted(), "{said:#?}");
    assert!(
        !said
            .iter()
            .any(|line| line.starts_with("scale deployment anonymizer")),
        "{said:#?}"
    );
}

#[test]
fn a_wait_for_a_slow_data_service_can_be_repeated() {
    let Some(tree) = Tree::new("a data service that takes long").unwrap() else {
        return;
    };
    let (folder, mut command) = prepare(&tree, "ha");
    fs::write(folder.path().join("stuck"), "").unwrap();
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        told.contains("the rollout of statefulset.apps/postgres is not complete; it continues"),
        "{told}"
    );
}
