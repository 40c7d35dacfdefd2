//! `logq doctor` on a real OpenSearch, well and broken.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use logq::opensearch::Method;
use regex::Regex;
use serde_json::{Value, json};

use crate::store::Store;

const WHAT: &str = "what `logq doctor` finds";

/// So many seconds ago, as a line has it.
fn ago(seconds: i64) -> String {
    let time = chrono::Utc::now() - chrono::TimeDelta::seconds(seconds);
    time.to_rfc3339_opts(chrono::SecondsFormat::Nanos, true)
}

/// A line of a component, written so many seconds ago.
fn line(component: &str, seconds: i64, more: Value) -> (String, String, String) {
    let mut line = json!({
        "@timestamp": ago(seconds), "message": "x", "component": component,
        "kubernetes": { "namespace": "photos", "node": "node-1", "labels": { "irmgard_dev/uses-database": "postgres" } },
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        match (line.get_mut(name).and_then(Value::as_object_mut), value) {
            (Some(own), Value::Object(more)) => own.extend(more.clone()),
            _ => line[name] = value.clone(),
        }
    }
    let id = format!("{component}-{seconds}-{}", line["tags"]);
    (format!("logs-{component}"), id, line.to_string())
}

/// The same, which came at once.
fn came(component: &str, seconds: i64, more: Value) -> (String, String, String) {
    let (stream, id, text) = line(component, seconds, more);
    let mut line: Value = serde_json::from_str(&text).unwrap();
    line["event"] = json!({ "id": id, "ingested": ago(seconds) });
    (stream, id, line.to_string())
}

/// OpenSearch with all that should be there, and lines that have just come.
async fn healthy() -> Option<Store> {
    let store = Store::empty(WHAT).await?;
    store.bootstrap().await;
    let lines = ["irmgard", "anonymizer", "postgres", "rabbitmq"].map(|name| line(name, 1, json!({})));
    store.create(&lines).await;
    Some(store)
}

fn doctor(store: &Store, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logq"));
    command
        .arg("doctor")
        .args(arguments)
        .env("LOGQ_CONFIG", "")
        .env("LOGQ_KUBECTL", "/nowhere/kubectl")
        .env("LOGQ_OPENSEARCH_URL", store.url());
    command
}

/// What a person sees, without what is otherwise each time.
fn seen(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    let mut text = String::from_utf8(output.stdout).unwrap();
    for (pattern, name) in [
        (r"http://127\.0\.0\.1:\d+", "URL"),
        (r"\d+\.\d+\.\d+, without", "VERSION, without"),
        (r"in \d+ ms", "in N ms"),
        (r"version \d+", "version N"),
        (r"\d+ % used on \S+ [\d.]+[tgmk]?b", "N % used on NODE SIZE"),
        (r"\d+ % used on \S+, [\d.]+[tgmk]?b", "N % used on NODE, SIZE"),
        (r"indices, [\d.]+[tgmk]?b", "indices, SIZE"),
        (r"\d+(\.\d+)? (s|m)( \d+ s)? (ago|late|at worst|ahead)", "TIME $4"),
    ] {
        text = Regex::new(pattern).unwrap().replace_all(&text, name).into_owned();
    }
    (output.status.code(), text)
}

/// State, subject and detail of what is not well.
fn wrong(command: &mut Command) -> (Option<i32>, Vec<String>) {
    let output = command.args(["-o", "json"]).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["status"].as_i64(), output.status.code().map(i64::from));
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let findings = report["checks"].as_array().unwrap();
    let wrong = findings
        .iter()
        .filter(|finding| ["warn", "fail"].contains(&finding["state"].as_str().unwrap()))
        .map(|finding| {
            assert!(finding["remedy"].is_string(), "{finding}");
            ["state", "what", "detail"]
                .map(|name| text(finding, name))
                .join(": ")
        });
    (output.status.code(), wrong.collect())
}

#[tokio::test]
async fn all_is_well() {
    let Some(store) = healthy().await else { return };
    let (code, text) = seen(&mut doctor(&store, &[]));
    insta::assert_snapshot!("doctor_healthy", text);
    assert_eq!(code, Some(0));
    // Nothing was changed.
    assert_eq!(wrong(&mut doctor(&store, &[])), (Some(0), Vec::new()));
}

#[tokio::test]
async fn what_is_not_in_place_is_told() {
    let Some(store) = Store::empty(WHAT).await else {
        return;
    };
    let (code, text) = seen(&mut doctor(&store, &[]));
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
    let (code, found) = wrong(&mut doctor(&store, &[]));
    assert_eq!(code, Some(1));
    assert_eq!(
        found,
        [
            "fail: templates, streams: data stream logs-rabbitmq is not there",
            &format!(
                "warn: templates, streams: component template irmgard-logs-settings would be changed: somebody had \
                 changed it; it is version {} again",
                logq::admin::version().unwrap()
            ),
        ]
    );
    // It has only been looked at.
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
    let (_, found) = wrong(&mut doctor(&store, &[]));
    assert_eq!(
        found,
        [
            "warn: templates, streams: index.refresh_interval of logs-postgres would be changed: is to be \"1s\""
        ]
    );
}

#[tokio::test]
async fn an_index_that_nobody_rolls_over_is_told() {
    let Some(store) = healthy().await else { return };
    let (_, found) = wrong(&mut doctor(&store, &["--rollover-size", "1b"]));
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(
        found[0].starts_with("warn: retention: the index of logs-irmgard has ")
            && found[0].ends_with("1b at most"),
        "{found:#?}"
    );
}

#[tokio::test]
async fn disks_are_judged_by_the_cluster_s_own_marks() {
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
    let (_, found) = wrong(&mut doctor(&store, &[]));
    set(Value::Null, Value::Null, Value::Null, Value::Null).await;
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].ends_with("shards are moved away (high watermark 0 %)"),
        "{found:#?}"
    );
}

#[tokio::test]
async fn lines_that_do_not_come_are_late_or_from_the_future_are_told() {
    let Some(store) = Store::empty(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    // There was an OpenSearch before these were written.
    store.came(&[came("rabbitmq", 3_600, json!({}))]).await;
    let ahead = json!({ "kubernetes": { "node": "node-2" } });
    let lines = [
        line("irmgard", 20, json!({})),
        line("rabbitmq", -120, ahead),
        line("other", 600, json!({ "component": "shop" })),
        line("object-store", 1, json!({ "tags": ["cut", "scrubbed", "own"] })),
    ];
    store.create(&lines).await;
    let (code, found) = wrong(&mut doctor(&store, &[]));
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
            "warn: lines of anonymizer: none has come in 24 h",
            "warn: lines of irmgard: TIME late in the middle, TIME at worst, of 1 line",
            "warn: lines of postgres: none has come in 24 h",
            "fail: lines of shop: TIME late in the middle, TIME at worst, of 1 line",
            "warn: clocks of the nodes: node-2 is TIME ahead of OpenSearch",
            "warn: tagged lines: cut: 1 of object-store; scrubbed: 1 of object-store",
        ]
    );
    // The remedy finds them.
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

/// The demonstration's first minute: what was written while OpenSearch started comes when it is there.
#[tokio::test]
async fn a_fresh_stack_is_well() {
    let Some(store) = Store::empty(WHAT).await else {
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
    assert_eq!(wrong(&mut doctor(&store, &[])), (Some(0), Vec::new()));
}

#[tokio::test]
async fn who_has_nothing_to_say_is_idle_and_who_always_had_is_missed() {
    let Some(store) = Store::empty(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    let every_minute = |name: &'static str, until: i64| {
        let minutes = (until..until + 40).map(move |minute| came(name, 60 * minute, json!({})));
        minutes.collect::<Vec<_>>()
    };
    let uses = json!({ "kubernetes": { "labels": { "irmgard_dev/uses-database": "postgres",
        "irmgard_dev/uses-queue": "rabbitmq" } } });
    let mut lines = [
        every_minute("postgres", 10),
        every_minute("opensearch", 0),
        // Bursts, as photos come.
        vec![came("irmgard", 2_000, uses.clone()), came("irmgard", 1_990, uses)],
        vec![
            came("anonymizer", 1_995, json!({})),
            came("anonymizer", 600, json!({})),
        ],
        vec![came("rabbitmq", 2_400, json!({}))],
    ]
    .concat();
    store.came(&lines).await;
    let (code, found) = wrong(&mut doctor(&store, &[]));
    assert_eq!((code, found.len()), (Some(1), 1), "{found:#?}");
    assert!(
        found[0].starts_with("warn: lines of postgres: the newest 10 m ")
            && found[0].ends_with("ago, and never that long before: it came at least every 1 m for 39 m"),
        "{found:#?}"
    );

    // The same judgement for who asks for lines.
    let told = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_logq"))
            .args(arguments)
            .args(["--source", "auto", "--since", "1h"])
            .env("LOGQ_CONFIG", "")
            .env("LOGQ_OPENSEARCH_URL", store.url())
            .output()
            .unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    for idle in ["irmgard", "anonymizer", "rabbitmq"] {
        let told = told(&["-c", idle]);
        assert!(
            told.contains(" ago (lines of others come: it may be idle). "),
            "{told}"
        );
    }
    assert_eq!(told(&["-c", "opensearch"]), "");
    let missed = told(&["-c", "irmgard", "--with-db"]);
    assert!(
        missed.contains("the newest line of postgres came 10 min ago. "),
        "{missed}"
    );

    // Nothing comes at all: nobody is idle.
    store.ask(Method::Delete, "/_data_stream/logs-*", None).await;
    store.bootstrap().await;
    lines.retain(|(stream, ..)| stream != "logs-opensearch");
    store.came(&lines).await;
    let (_, found) = wrong(&mut doctor(&store, &[]));
    assert_eq!(found.len(), 4, "{found:#?}");
    let nothing = told(&["-c", "anonymizer"]);
    assert!(
        nothing.contains("the newest line of anonymizer came 10 min ago"),
        "{nothing}"
    );
}

/// Times that no clock has, names that act on terminals, one id in two streams.
#[tokio::test]
async fn odd_lines_are_looked_at_as_others() {
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
    let (code, text) = seen(&mut doctor(&store, &[]));
    assert_eq!(code, Some(1), "{text}");
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    let (_, found) = wrong(&mut doctor(&store, &[]));
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[0].contains("b\u{1b}[2J is 85871 d") && found[0].contains("c\u{1b}[2J is 2 h ahead"),
        "{found:#?}"
    );
    assert!(found[1].starts_with("warn: tagged lines: cut: "), "{found:#?}");

    // All of them are shown, the one that is there twice once.
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

#[tokio::test]
async fn who_waits_is_told_when_all_is_well() {
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
