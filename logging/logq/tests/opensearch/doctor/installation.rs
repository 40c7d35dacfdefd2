//! Checks of templates, streams, retention and disks.

use std::process::Stdio;

use logq::opensearch::Method;
use serde_json::{Value, json};

use super::{WHAT, doctor, healthy, problems, report};
use crate::log_store::LogStore;

#[tokio::test]
async fn healthy_installation_passes() {
    let Some(store) = healthy().await else { return };
    let (code, text) = report(&mut doctor(&store, &[]));
    insta::assert_snapshot!("doctor_healthy", text);
    assert_eq!(code, Some(0));
    // Nothing has changed.
    assert_eq!(problems(&mut doctor(&store, &[])), (Some(0), Vec::new()));
}

#[tokio::test]
async fn missing_objects_are_reported() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    let (code, text) = report(&mut doctor(&store, &[]));
    insta::assert_snapshot!("doctor_empty", text);
    assert_eq!(code, Some(1));
    drop(store);

    let Some(store) = healthy().await else { return };
    store
        .ask(Method::Delete, "/_data_stream/logs-rabbitmq", None)
        .await;
    let path = "/_component_template/irmgard-logs-settings";
    let there = store.get(path).await;
    let mut changed = there["component_templates"][0]["component_template"].clone();
    changed["template"]["settings"]["index"]["refresh_interval"] = json!("30s");
    store.ask(Method::Put, path, Some(&changed)).await;
    let (code, found) = problems(&mut doctor(&store, &[]));
    assert_eq!(code, Some(1));
    assert_eq!(
        found,
        [
            "fail: templates, streams: data stream logs-rabbitmq is missing",
            &format!(
                "warn: templates, streams: component template irmgard-logs-settings would be changed: \
                 another program changed it; back to version {}",
                logq::admin::version().unwrap()
            ),
        ]
    );
    // The doctor only reads.
    assert_eq!(
        store.get(path).await["component_templates"][0]["component_template"]["template"]["settings"]["index"]
            ["refresh_interval"],
        "30s"
    );
    store.bootstrap().await;
    let settings = json!({ "index": { "refresh_interval": "5s" } });
    store
        .ask(Method::Put, "/logs-postgres/_settings", Some(&settings))
        .await;
    let (_, found) = problems(&mut doctor(&store, &[]));
    assert_eq!(
        found,
        [
            "warn: templates, streams: index.refresh_interval of logs-postgres would be changed: the new \
             value is \"1s\""
        ]
    );
}

#[tokio::test]
async fn overdue_rollover_is_reported() {
    let Some(store) = healthy().await else { return };
    let (_, found) = problems(&mut doctor(&store, &["--rollover-size", "1b"]));
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(
        found[0].starts_with("warn: retention: the index of logs-irmgard has ")
            && found[0].ends_with("the limit is 1b"),
        "{found:#?}"
    );
}

#[tokio::test]
async fn disks_are_judged_by_the_cluster_s_watermarks() {
    let Some(store) = healthy().await else { return };
    let set = async |threshold: Value, low: Value, high: Value, flood: Value| {
        let marks = json!({ "low": low, "high": high, "flood_stage": flood });
        let disk = json!({ "threshold_enabled": threshold, "watermark": marks });
        let settings = json!({ "transient": { "cluster.routing.allocation.disk": disk } });
        store
            .ask(Method::Put, "/_cluster/settings", Some(&settings))
            .await;
    };
    set(json!(true), json!("0.1%"), json!("0.1%"), json!("99.999%")).await;
    let (_, found) = problems(&mut doctor(&store, &[]));
    set(Value::Null, Value::Null, Value::Null, Value::Null).await;
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].ends_with("OpenSearch moves shards away (high watermark 0 %)"),
        "{found:#?}"
    );
}

#[tokio::test]
async fn wait_ends_when_all_checks_pass() {
    let Some(store) = healthy().await else { return };
    store.ask(Method::Delete, "/_data_stream/logs-other", None).await;
    let child = doctor(&store, &["--wait", "60s"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    store.bootstrap().await;
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
}
