//! What pods have written, beside what has come.

use std::{fs, os::unix::fs::PermissionsExt};

use logq::opensearch::Method;
use serde_json::json;

use super::{ago, doctor, healthy, seen, wrong};

/// A stand-in for kubectl: a cluster of two nodes, whose irmgard has written a
/// line two minutes ago, and whose Fluentd on the first node is well.
const KUBECTL: &str = r#"#!/bin/sh
case "$*" in
"get pods"*) cat "$0.pods" ;;
"get --raw /api/v1/namespaces/photos/pods/fluentd-x:24231/proxy/metrics") cat "$0.metrics" ;;
"logs "*" photos pod/irmgard-a") cat "$0.irmgard" ;;
"logs "*) ;;
*) echo "unknown: $*" >&2; exit 1 ;;
esac
"#;

#[tokio::test]
async fn what_pods_have_written_is_compared_with_what_has_come() {
    let Some(store) = healthy().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let kubectl = folder.path().join("kubectl");
    fs::write(&kubectl, KUBECTL).unwrap();
    fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755)).unwrap();
    let beside =
        |name: &str, text: &str| fs::write(folder.path().join(format!("kubectl.{name}")), text).unwrap();
    let pod = |name: &str, component: &str, node: &str| {
        json!({
            "metadata": { "namespace": "photos", "name": name, "labels": { "app.kubernetes.io/name": component } },
            "spec": { "nodeName": node, "containers": [{ "name": component }] },
            "status": { "phase": "Running" },
        })
    };
    let pods = [
        pod("irmgard-a", "irmgard", "node-1"),
        pod("rabbitmq-0", "rabbitmq", "node-2"),
        pod("object-store-0", "object-store", "node-2"),
        pod("fluentd-x", "fluentd", "node-1"),
    ];
    beside("pods", &json!({ "items": pods }).to_string());
    beside("irmgard", &format!("{} newest\n", ago(1)));
    beside(
        "metrics",
        "fluentd_dead_letters_total{tag=\"lines\"} 0.0\n\
         fluentd_output_status_buffer_total_bytes{plugin_id=\"opensearch\"} 1024.0\n\
         fluentd_output_status_buffer_available_space_ratio{plugin_id=\"opensearch\"} 99.9\n",
    );
    let run = || {
        let mut command = doctor(&store, &[]);
        command.env("LOGQ_KUBECTL", &kubectl);
        command
    };
    let (code, text) = seen(&mut run());
    insta::assert_snapshot!("doctor_cluster", text);
    assert_eq!(code, Some(1));

    // A line that was written two minutes ago and has not come.
    store
        .ask(Method::Delete, "/_data_stream/logs-irmgard", None)
        .await;
    store.bootstrap().await;
    beside("irmgard", &format!("{} newest\n", ago(120)));
    let (_, found) = wrong(&mut run());
    assert!(
        found.contains(
            &"fail: lines of irmgard: photos/irmgard-a wrote a line 2 m ago, and none has come in 24 h"
                .to_owned()
        ),
        "{found:#?}"
    );
}
