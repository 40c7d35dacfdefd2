//! Checks of arriving lines and their delay.

use std::process::Command;

use logq::opensearch::Method;
use regex::Regex;
use serde_json::json;

use super::{WHAT, ago, arrived, doctor, healthy, line, problems, report};
use crate::log_store::LogStore;

#[tokio::test]
async fn missing_late_and_future_lines_are_reported() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    // This line exists first, so that the others are newer than OpenSearch.
    store
        .create_with_arrival(&[arrived("rabbitmq", 3_600, json!({}))])
        .await;
    let ahead = json!({ "kubernetes": { "node": "node-2" } });
    let lines = [
        line("irmgard", 20, json!({})),
        line("rabbitmq", -120, ahead),
        line("other", 600, json!({ "component": "shop" })),
        line("object-store", 1, json!({ "tags": ["cut", "scrubbed", "own"] })),
    ];
    store.create(&lines).await;
    let (code, found) = problems(&mut doctor(&store, &[]));
    assert_eq!(code, Some(1));
    let found: Vec<_> = found
        .iter()
        .map(|text| {
            Regex::new(r"\d+ [sm]( \d+ s)?")
                .unwrap()
                .replace_all(text, "TIME")
                .into_owned()
        })
        .collect();
    assert_eq!(
        found,
        [
            "warn: lines of anonymizer: no line in 24 h",
            "warn: lines of irmgard: delay TIME median, TIME maximum, of 1 line",
            "warn: lines of postgres: no line in 24 h",
            "fail: lines of shop: delay TIME median, TIME maximum, of 1 line",
            "warn: clocks of the nodes: node-2 is TIME ahead of OpenSearch",
            "warn: tagged lines: cut: 1 of object-store; scrubbed: 1 of object-store",
        ]
    );
    // The suggested command finds them.
    let tagged = Command::new(env!("CARGO_BIN_EXE_logq"))
        .args([
            "--since",
            "1h",
            "-f",
            "tags=cut",
            "-o",
            "jsonl",
            "--fields",
            "component",
        ])
        .env("LOGQ_CONFIG", "")
        .env("LOGQ_OPENSEARCH_URL", store.url())
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(tagged.stdout).unwrap(),
        "{\"component\":\"object-store\"}\n"
    );
}

/// The first minute of the demo: lines written during OpenSearch's start arrive afterwards.
#[tokio::test]
async fn fresh_installation_is_healthy() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    let uses = |queue: &str| {
        json!({ "kubernetes": { "labels": { "irmgard_dev/uses-database": "postgres",
        "irmgard_dev/uses-queue": queue, "irmgard_dev/uses-store": "object-store" } } })
    };
    let lines = [
        line("irmgard", 40, uses("rabbitmq")),
        line("anonymizer", 39, uses("rabbitmq")),
        line("postgres", 45, json!({})),
        line("rabbitmq", 50, json!({})),
    ];
    store.create(&lines).await;
    assert_eq!(problems(&mut doctor(&store, &[])), (Some(0), Vec::new()));
}

#[tokio::test]
async fn silence_is_a_warning_only_if_no_component_is_active() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    let uses = json!({ "kubernetes": { "labels": { "irmgard_dev/uses-database": "postgres",
        "irmgard_dev/uses-queue": "rabbitmq" } } });
    let mut lines = vec![
        arrived("postgres", 600, json!({})),
        arrived("opensearch", 1, json!({})),
        arrived("irmgard", 1_990, uses),
        arrived("anonymizer", 600, json!({})),
        arrived("rabbitmq", 2_400, json!({})),
    ];
    store.create_with_arrival(&lines).await;
    assert_eq!(problems(&mut doctor(&store, &[])), (Some(0), Vec::new()));

    store.ask(Method::Delete, "/_data_stream/logs-*", None).await;
    store.bootstrap().await;
    lines.retain(|(stream, ..)| stream != "logs-opensearch");
    store.create_with_arrival(&lines).await;
    let (_, found) = problems(&mut doctor(&store, &[]));
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(
        found[0].contains("ago, and no other component sent one since"),
        "{found:#?}"
    );
}

/// Invalid times, names with control characters, and one id in two streams.
#[tokio::test]
async fn unusual_lines_are_checked_like_others() {
    let Some(store) = healthy().await else { return };
    let odd = |stream: &str, time: &str, node: &str| {
        let line = json!({
            "@timestamp": time, "level": "info", "message": "m\u{1b}[2J", "component": "c\u{1b}]0;x\u{7}",
            "event": { "id": "same" }, "tags": ["cut"],
            "kubernetes": { "namespace": "n\u{1b}[2J", "node": format!("{node}\u{1b}[2J"), "pod": "p\u{1b}[2J" },
        });
        (format!("logs-{stream}"), format!("same{time}"), line.to_string())
    };
    let lines = [
        odd("other", "1970-01-01T00:00:00.000000000Z", "a"),
        odd("other", "2261-12-31T23:59:59.999999999Z", "b"),
        odd("other", &ago(-7_200), "c"),
        odd("logq", "1970-01-01T00:00:00.000000000Z", "a"),
        odd("opensearch", &ago(7_200), "d"),
    ];
    for (status, reason) in store.create(&lines).await {
        assert_eq!(status, 201, "{reason}");
    }
    let (code, text) = report(&mut doctor(&store, &[]));
    assert_eq!(code, Some(1), "{text}");
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    let far: chrono::DateTime<chrono::Utc> = "2261-12-31T23:59:59.999999999Z".parse().unwrap();
    let days = (far - chrono::Utc::now()).num_days();
    let (_, found) = problems(&mut doctor(&store, &[]));
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[0].contains(&format!("b\u{1b}[2J is {days} d")) && found[0].contains("c\u{1b}[2J is 2 h ahead"),
        "{found:#?}"
    );
    assert!(found[1].starts_with("warn: tagged lines: cut: "), "{found:#?}");

    // A search shows all of them, the duplicate id once.
    for arguments in [
        ["--source", "opensearch"].as_slice(),
        &["--source", "auto", "--reverse"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_logq"))
            .args(["-f", "tags=cut", "--since", "all"])
            .args(arguments)
            .env("LOGQ_CONFIG", "")
            .env("LOGQ_OPENSEARCH_URL", store.url())
            .output()
            .unwrap();
        let shown = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(shown.lines().count(), 4, "{shown}");
        assert!(
            !shown.contains(|c: char| c.is_control() && c != '\n'),
            "{shown:?}"
        );
    }
}
