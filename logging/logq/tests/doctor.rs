//! `logq doctor` without OpenSearch: skipped checks, and Fluentd's metrics.

#![expect(clippy::unwrap_used, reason = "a test fails with a panic")]

#[path = "connection/peer.rs"]
mod peer;

use std::process::Command;

use crate::peer::{answer, server};

const METRICS: &str = "# TYPE fluentd_dead_letters_total counter
fluentd_dead_letters_total{tag=\"lines\"} 3.0
fluentd_output_status_buffer_total_bytes{plugin_id=\"opensearch\",type=\"opensearch\"} 2013265920.0
fluentd_output_status_buffer_available_space_ratio{plugin_id=\"opensearch\",type=\"opensearch\"} 6.2
fluentd_output_status_retry_count{plugin_id=\"opensearch\",type=\"opensearch\"} 12.0
fluentd_output_status_retry_wait{plugin_id=\"opensearch\",type=\"opensearch\"} 60.0
";

fn doctor(variables: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_logq"))
        .arg("doctor")
        .args(arguments)
        .env_clear()
        .env("LOGQ_CONFIG", "")
        .env("KUBECONFIG", "/nowhere/kubeconfig")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).unwrap();
        regex::Regex::new(r"127\.0\.0\.1:\d+")
            .unwrap()
            .replace_all(&text, "PEER")
            .into_owned()
    };
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn unreachable_opensearch_is_reported_and_fluentd_is_checked() {
    let metrics = format!("http://127.0.0.1:{}", server(answer(200, METRICS)).0);
    let away = [("LOGQ_OPENSEARCH_URL", "http://127.0.0.1:1")];
    let (code, text, errors) = doctor(&away, &["--fluentd", &metrics]);
    assert_eq!((code, errors.as_str()), (Some(2), ""));
    insta::assert_snapshot!("doctor_away", text);

    let (code, text, _) = doctor(&away, &["--fluentd", "http://127.0.0.1:1", "-o", "json"]);
    assert_eq!(code, Some(2));
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["status"], 2);
    let fluentd = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["what"] == "Fluentd")
        .unwrap();
    assert_eq!(fluentd["state"], "fail");
    assert!(
        fluentd["detail"].as_str().unwrap().contains("refused"),
        "{fluentd}"
    );
}

#[test]
fn wrong_password_and_settings_are_reported() {
    let refusing = format!("http://127.0.0.1:{}", server(answer(401, "Unauthorized")).0);
    let variables = [
        ("LOGQ_OPENSEARCH_URL", refusing.as_str()),
        ("LOGQ_OPENSEARCH_USERNAME", "reader"),
        ("LOGQ_OPENSEARCH_PASSWORD", "hunter2"),
    ];
    let (code, text, _) = doctor(&variables, &[]);
    assert_eq!(code, Some(2));
    assert!(!text.contains("hunter2"), "{text}");
    insta::assert_snapshot!("doctor_unknown", text);

    let (code, text, _) = doctor(
        &[
            ("LOGQ_OPENSEARCH_URL", "nowhere"),
            ("LOGQ_OPENSEARCH_TIMEOUT", "x"),
        ],
        &[],
    );
    assert_eq!(code, Some(2));
    insta::assert_snapshot!("doctor_settings", text);
}

#[test]
fn other_server_than_fluentd_is_reported() {
    let page = format!("http://127.0.0.1:{}", server(answer(200, "<html>")).0);
    let missing = format!("http://127.0.0.1:{}/x", server(answer(404, "")).0);
    let both = format!("{page},{missing}");
    let (_, text, _) = doctor(
        &[
            ("LOGQ_OPENSEARCH_URL", "http://127.0.0.1:1"),
            ("LOGQ_FLUENTD", &both),
        ],
        &[],
    );
    for part in [
        "the response has no metric fluentd_output_status_…",
        "client error (404",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}
