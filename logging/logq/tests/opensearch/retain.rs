//! `logq admin retain` with a real OpenSearch, and exit statuses.

use std::process::Command;
use std::time::{Duration, Instant};

use super::log_store::LogStore;
use logq::admin::{Action, Age, Change, RetentionPolicy, Size};
use serde_json::json;

const WHAT: &str = "`logq admin retain`";

const LATER: RetentionPolicy = RetentionPolicy {
    rollover_size: Size(1 << 40),
    rollover_age: Age(Duration::from_secs(86_400)),
    keep: Age(Duration::from_secs(86_400)),
};

fn lines(from: u32, to: u32) -> Vec<(String, String, String)> {
    (from..to)
        .map(|number| {
            let document =
                json!({ "@timestamp": "2026-11-22T10:00:00Z", "message": format!("line {number}") });
            (
                "logs-irmgard".into(),
                format!("line-{number}"),
                document.to_string(),
            )
        })
        .collect()
}

fn changes(report: &[Change]) -> Vec<&Change> {
    report.iter().filter(|change| change.is_change()).collect()
}

#[tokio::test]
async fn retain_rolls_over_full_indices_and_deletes_old_ones() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    store.create(&lines(0, 50)).await;
    let everything = json!({ "match_all": {} });

    assert_eq!(changes(&store.retain(LATER).await), Vec::<&Change>::new());

    // With a limit of one byte, every index with lines is full; an empty stream keeps its index.
    let full = RetentionPolicy {
        rollover_size: Size(1),
        ..LATER
    };
    let dry = store.plan_retention(full).await;
    let would: Vec<_> = dry
        .iter()
        .filter(|change| matches!(change.action, Action::Planned(_)))
        .collect();
    assert_eq!(would.len(), 1, "{dry:#?}");
    assert_eq!(
        store.indices("logs-irmgard").await.len(),
        1,
        "a dry run has done something"
    );

    let report = store.retain(full).await;
    assert_eq!(changes(&report).len(), 1, "{report:#?}");
    assert_eq!(changes(&report)[0].what, "data stream logs-irmgard");
    let indices = store.indices("logs-irmgard").await;
    assert_eq!(indices, [".ds-logs-irmgard-000001", ".ds-logs-irmgard-000002"]);
    assert_eq!(store.indices("logs-postgres").await.len(), 1);
    store.create(&lines(50, 60)).await;
    assert_eq!(store.count("logs-irmgard", &everything).await, 60);

    // Just closed, so it is kept.
    assert_eq!(changes(&store.retain(LATER).await), Vec::<&Change>::new());
    assert_eq!(store.count("logs-irmgard", &everything).await, 60);

    // One second after it was closed, the first index may be deleted.
    let brief = RetentionPolicy {
        keep: Age(Duration::from_secs(1)),
        ..LATER
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let dry = store.plan_retention(brief).await;
        if dry
            .iter()
            .any(|change| matches!(change.action, Action::Planned(_)))
        {
            break;
        }
        assert!(Instant::now() < deadline, "the index never grows old: {dry:#?}");
    }
    assert_eq!(store.count("logs-irmgard", &everything).await, 60);
    let report = store.retain(brief).await;
    assert!(
        matches!(changes(&report)[0].action, Action::Deleted(_)),
        "{report:#?}"
    );
    assert_eq!(store.indices("logs-irmgard").await, [".ds-logs-irmgard-000002"]);
    assert_eq!(store.count("logs-irmgard", &everything).await, 10);

    // The write index is older than the limit, too, but stays.
    assert_eq!(changes(&store.retain(brief).await), Vec::<&Change>::new());
    assert_eq!(store.count("logs-irmgard", &everything).await, 10);
}

#[tokio::test]
async fn concurrent_retains_roll_over_once() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    store.create(&lines(0, 5)).await;
    let old = RetentionPolicy {
        rollover_size: Size(1),
        ..LATER
    };
    futures::future::join_all((0..4).map(|_| store.retain(old))).await;
    let indices = store.indices("logs-irmgard").await;
    assert!(indices.len() >= 2, "{indices:?}");
    assert_eq!(store.count("logs-irmgard", &json!({ "match_all": {} })).await, 5);
}

#[tokio::test]
async fn missing_streams_are_reported() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    let report = store.retain(LATER).await;
    assert!(
        report
            .iter()
            .all(|change| matches!(change.action, Action::Skipped(_))),
        "{report:#?}"
    );
}

/// The task finishes even if its output is closed.
#[tokio::test]
async fn closed_pipe_does_not_end_the_task() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    let mut child = Command::new(env!("CARGO_BIN_EXE_logq"))
        .args(["admin", "bootstrap"])
        .env("LOGQ_CONFIG", "")
        .env("LOGQ_OPENSEARCH_URL", store.url())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
    let report = store.bootstrap().await;
    assert_eq!(changes(&report), Vec::<&Change>::new());
}

/// Exit statuses and output, as for a CronJob.
#[tokio::test]
async fn admin_prints_changes_and_exit_status() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_logq"))
            .arg("admin")
            .args(arguments)
            .env("LOGQ_CONFIG", "")
            .env("LOGQ_OPENSEARCH_URL", store.url())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, out, errors) = run(&["bootstrap", "--dry-run"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{out}");
    assert!(
        out.contains("planned   index template irmgard-logs: would be created: it does not exist\n")
            && out.ends_with("0 of 14 changed\n"),
        "{out}"
    );
    let (code, out, errors) = run(&["bootstrap"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("created   index template irmgard-logs\n"), "{out}");
    let (code, out, _) = run(&["bootstrap"]);
    assert_eq!(code, Some(0));
    assert!(out.ends_with("0 of 14 changed\n"), "{out}");
    let (code, out, _) = run(&["retain", "--keep", "7d", "--rollover-size", "1gb", "--dry-run"]);
    assert_eq!(code, Some(0), "{out}");
    let (code, _, errors) = run(&["retain", "--keep", "never"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("for example 30d"), "{errors}");
}
