//! `logq doctor` with a healthy and a broken OpenSearch.

mod arrival;
mod installation;
mod pending_photos;
mod pods;

use std::process::Command;

use regex::Regex;
use serde_json::{Value, json};

use crate::log_store::LogStore;

const WHAT: &str = "`logq doctor`";

/// A time in the format of log lines, `seconds` ago.
fn ago(seconds: i64) -> String {
    let time = chrono::Utc::now() - chrono::TimeDelta::seconds(seconds);
    time.to_rfc3339_opts(chrono::SecondsFormat::Nanos, true)
}

/// A line of a component, written `seconds` ago.
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

/// The same line, arrived immediately.
fn arrived(component: &str, seconds: i64, more: Value) -> (String, String, String) {
    let (stream, id, text) = line(component, seconds, more);
    let mut line: Value = serde_json::from_str(&text).unwrap();
    line["event"] = json!({ "id": id, "ingested": ago(seconds) });
    (stream, id, line.to_string())
}

/// OpenSearch with all objects and recent lines.
async fn healthy() -> Option<LogStore> {
    let store = LogStore::empty(WHAT).await?;
    store.bootstrap().await;
    let lines = ["irmgard", "anonymizer", "postgres", "rabbitmq"].map(|name| line(name, 1, json!({})));
    store.create(&lines).await;
    Some(store)
}

fn doctor(store: &LogStore, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logq"));
    command
        .arg("doctor")
        .args(arguments)
        .env("LOGQ_CONFIG", "")
        .env("KUBECONFIG", "/nowhere/kubeconfig")
        .env("LOGQ_OPENSEARCH_URL", store.url());
    command
}

/// Exit status and report, with variable parts replaced.
fn report(command: &mut Command) -> (Option<i32>, String) {
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
        (
            r"\d+(\.\d+)? (s|m)( \d+ s)? (ago|median|maximum|ahead|before)",
            "TIME $4",
        ),
    ] {
        text = Regex::new(pattern).unwrap().replace_all(&text, name).into_owned();
    }
    (output.status.code(), text)
}

/// Replaces durations by TIME.
fn without_times(text: &str) -> String {
    let time = Regex::new(r"\d+(\.\d+)? [smh]( \d+ [sm])?\b").unwrap();
    time.replace_all(text, "TIME").into_owned()
}

/// Exit status and all findings other than ok: status, check and detail.
fn problems(command: &mut Command) -> (Option<i32>, Vec<String>) {
    let output = command.args(["-o", "json"]).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["status"].as_i64(), output.status.code().map(i64::from));
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let checks = report["checks"].as_array().unwrap();
    let problems = checks
        .iter()
        .filter(|finding| ["warn", "fail"].contains(&finding["state"].as_str().unwrap()))
        .map(|finding| {
            assert!(finding["remedy"].is_string(), "{finding}");
            ["state", "what", "detail"]
                .map(|name| text(finding, name))
                .join(": ")
        });
    (output.status.code(), problems.collect())
}
