//! Start, shutdown, probes.

use std::{process::Stdio, time::Duration};

use contract::Verdict;
use tokio::process::Command;

use crate::harness::{Harness, TIMEOUT, astronaut};

#[tokio::test(flavor = "multi_thread")]
async fn all_settings_mistakes_are_reported_at_once() {
    let output = Command::new(env!("CARGO_BIN_EXE_anonymizer"))
        .arg("serve")
        .env_clear()
        .env("RABBITMQ_PASSWORD", "hidden-secret")
        .env("CONCURRENCY", "none")
        .env("HOLD_LIMIT", "2h")
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    for variable in [
        "RABBITMQ_HOST",
        "RABBITMQ_USERNAME",
        "OBJECT_STORE_ENDPOINT",
        "OBJECT_STORE_SECRET_ACCESS_KEY",
        "CONCURRENCY",
        "HOLD_LIMIT",
    ] {
        assert!(stderr.contains(variable), "{variable} is missing in:\n{stderr}");
    }
    assert!(!stderr.contains("hidden-secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn worker_without_detector_does_not_start() {
    let mut harness = Harness::with_environment(|environment| {
        environment.insert("ORT_DYLIB_PATH".into(), "/nowhere/libonnxruntime.so".into());
    })
    .await;
    harness.worker.spawn().unwrap();
    let status = harness.worker.ended(TIMEOUT).await.unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(harness.worker.log().contains("/nowhere/libonnxruntime.so"));
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_and_metrics_show_the_state() {
    let harness = Harness::started().await;
    let address = harness.worker.admin_address().to_owned();
    harness.submit(1, astronaut()).await;
    harness.next_result().await;
    let invalid = harness.submit(2, b"text".to_vec()).await;
    harness.next_failure(invalid.id).await;
    harness.wait_until_drained().await;
    let fetch = async |path: &str| reqwest::get(format!("http://{address}/{path}")).await.unwrap();
    assert!(fetch("livez").await.status().is_success());
    let ready: serde_json::Value =
        serde_json::from_str(&fetch("readyz").await.text().await.unwrap()).unwrap();
    for dependency in ["rabbitmq-publisher", "rabbitmq-consumer", "job-dependencies"] {
        assert_eq!(ready["dependencies"][dependency]["available"], true, "{ready}");
    }
    let metrics = fetch("metrics").await.text().await.unwrap();
    for line in [
        r#"anonymizer_jobs_total{outcome="anonymized"} 1"#,
        r#"anonymizer_jobs_total{outcome="failed"} 1"#,
        r#"anonymizer_failures_total{reason="unsupported-format"} 1"#,
        r#"anonymizer_stage_seconds_count{stage="detect"} 1"#,
        "anonymizer_consumer_paused 0",
    ] {
        assert!(metrics.contains(line), "{line} is missing in:\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_worker_stops_at_once() {
    let mut harness = Harness::started().await;
    harness.worker.terminate();
    let status = harness.worker.ended(Duration::from_secs(10)).await.unwrap();
    assert!(status.success(), "{status}");
}

/// A job that cannot finish in time returns to the queue without being counted. So the
/// next worker does not treat the photo as suspect.
#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn shutdown_returns_unfinished_jobs() {
    let mut harness = Harness::with_environment(|environment| {
        let slow = "anonymizer::while-anonymizing=sleep(60000)";
        environment.insert("FAILPOINTS".into(), slow.into());
        environment.insert("SHUTDOWN_GRACE".into(), "200ms".into());
    })
    .await;
    harness.start_worker().await;
    let photo = harness.submit(17, astronaut()).await;
    harness.wait_until_in_work().await;
    harness.worker.terminate();
    let status = harness.worker.ended(Duration::from_secs(20)).await.unwrap();
    assert!(status.success(), "{status}");
    let message = harness.take_message(&harness.queues.jobs).await;
    assert_eq!(message.body, photo.job.encode().unwrap());
    assert_eq!(message.deliveries_before(), 0);
    assert_eq!(
        message.header_number(contract::headers::X_EARLIER_DELIVERIES),
        Some(0)
    );
}

/// A stuck thread cannot be stopped. The process exits to be replaced, and the photo becomes suspect.
#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn stuck_worker_exits_with_a_failure() {
    let mut harness = Harness::with_environment(|environment| {
        let endless = "anonymizer::while-anonymizing=sleep(600000)";
        environment.insert("FAILPOINTS".into(), endless.into());
        environment.insert("PHOTO_TIME_LIMIT".into(), "2s".into());
    })
    .await;
    harness.start_worker().await;
    let photo = harness.submit(17, astronaut()).await;
    let status = harness.worker.ended(TIMEOUT).await.unwrap();
    assert_eq!(status.code(), Some(1));
    harness.start_worker().await;
    assert_eq!(harness.next_failure(photo.id).await, "process-crashed");
    harness.wait_until_drained().await;
    assert!(harness.object_exists(&photo.original).await);
    assert!(harness.worker.alive());
}

/// A rollout lets the running jobs finish.
#[tokio::test(flavor = "multi_thread")]
async fn shutdown_finishes_running_jobs() {
    let mut harness = Harness::started().await;
    for id in 1..=6 {
        harness.submit(id, astronaut()).await;
    }
    harness.next_result().await;
    harness.worker.terminate();
    let status = harness.worker.ended(TIMEOUT).await.unwrap();
    assert!(status.success(), "{status}");
    harness.start_worker().await;
    for _ in 2..=6 {
        let result = harness.next_result().await;
        assert!(
            matches!(
                result.verdict,
                Verdict::Anonymized {
                    detections: Some(_),
                    ..
                }
            ),
            "{result:?}"
        );
    }
    harness.assert_no_result().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn child_without_a_request_exits_with_a_failure() {
    let child = Command::new(env!("CARGO_BIN_EXE_anonymizer"))
        .arg("photo-process")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert_eq!(child.status.code(), Some(1));
    assert!(child.stdout.is_empty());
}
