//! Start, shutdown, probes.

use std::{process::Stdio, time::Duration};

use contract::Outcome;
use tokio::process::Command;

use crate::harness::{PATIENCE, Site, astronaut};

#[tokio::test(flavor = "multi_thread")]
async fn all_mistakes_are_told_at_once() {
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
    let told = String::from_utf8(output.stderr).unwrap();
    for variable in [
        "RABBITMQ_HOST",
        "RABBITMQ_USERNAME",
        "OBJECT_STORE_ENDPOINT",
        "OBJECT_STORE_SECRET_ACCESS_KEY",
        "CONCURRENCY",
        "HOLD_LIMIT",
    ] {
        assert!(told.contains(variable), "{variable} is missing in:\n{told}");
    }
    assert!(!told.contains("hidden-secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn worker_without_its_detector_does_not_start() {
    let mut site = Site::with(|environment| {
        environment.insert("ORT_DYLIB_PATH".into(), "/nowhere/libonnxruntime.so".into());
    })
    .await;
    site.worker.spawn().unwrap();
    let status = site.worker.ended(PATIENCE).await.unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(site.worker.log().contains("/nowhere/libonnxruntime.so"));
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_and_metrics_tell_the_state() {
    let mut site = Site::new().await;
    site.start().await;
    let address = site.worker.admin_address().to_owned();
    site.post(1, astronaut()).await;
    site.result().await;
    let bad = site.post(2, b"text".to_vec()).await;
    site.failure(bad.id).await;
    site.drained().await;
    let read = async |path: &str| reqwest::get(format!("http://{address}/{path}")).await.unwrap();
    assert!(read("livez").await.status().is_success());
    let ready: serde_json::Value = serde_json::from_str(&read("readyz").await.text().await.unwrap()).unwrap();
    for dependency in ["rabbitmq-publisher", "rabbitmq-consumer", "servers-of-jobs"] {
        assert_eq!(ready["dependencies"][dependency]["available"], true, "{ready}");
    }
    let metrics = read("metrics").await.text().await.unwrap();
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
async fn idle_worker_ends_at_once() {
    let mut site = Site::new().await;
    site.start().await;
    site.worker.terminate();
    let status = site.worker.ended(Duration::from_secs(10)).await.unwrap();
    assert!(status.success(), "{status}");
}

/// What cannot be finished in time goes back uncounted: whoever gets it next
/// does not take the photo for a suspect.
#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn shutdown_gives_back_what_it_cannot_finish() {
    let mut site = Site::with(|environment| {
        let slow = "anonymizer::while-anonymizing=sleep(60000)";
        environment.insert("FAILPOINTS".into(), slow.into());
        environment.insert("SHUTDOWN_GRACE".into(), "200ms".into());
    })
    .await;
    site.start().await;
    let photo = site.post(17, astronaut()).await;
    site.until("the job is in work", async || {
        site.metric("anonymizer_jobs_in_flight").await == Some(1.0)
    })
    .await;
    site.worker.terminate();
    let status = site.worker.ended(Duration::from_secs(20)).await.unwrap();
    assert!(status.success(), "{status}");
    let message = site.take(&site.queues.jobs).await;
    assert_eq!(message.body, photo.job.encode().unwrap());
    assert_eq!(message.deliveries_before(), 0);
    assert_eq!(
        message.header_number(contract::headers::X_EARLIER_DELIVERIES),
        Some(0)
    );
}

/// A thread that does not come back cannot be ended: the process makes room
/// for a new one, and the photo is a suspect from then on.
#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn worker_that_is_stuck_asks_to_be_replaced() {
    let mut site = Site::with(|environment| {
        let stuck = "anonymizer::while-anonymizing=sleep(600000)";
        environment.insert("FAILPOINTS".into(), stuck.into());
        environment.insert("PHOTO_TIME_LIMIT".into(), "2s".into());
    })
    .await;
    site.start().await;
    let photo = site.post(17, astronaut()).await;
    let status = site.worker.ended(PATIENCE).await.unwrap();
    assert_eq!(status.code(), Some(1));
    site.start().await;
    assert_eq!(site.failure(photo.id).await, "process-crashed");
    site.drained().await;
    assert!(site.is_there(&photo.original).await);
    assert!(site.worker.alive());
}

/// A rollout finishes the photos in work.
#[tokio::test(flavor = "multi_thread")]
async fn shutdown_finishes_what_it_can() {
    let mut site = Site::new().await;
    site.start().await;
    for id in 1..=6 {
        site.post(id, astronaut()).await;
    }
    site.result().await;
    site.worker.terminate();
    let status = site.worker.ended(PATIENCE).await.unwrap();
    assert!(status.success(), "{status}");
    site.start().await;
    for _ in 2..=6 {
        let result = site.result().await;
        assert!(
            matches!(
                result.outcome,
                Outcome::Anonymized {
                    detections: Some(_),
                    ..
                }
            ),
            "{result:?}"
        );
    }
    site.no_result().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn child_that_is_asked_nothing_ends_with_a_failure() {
    let child = Command::new(env!("CARGO_BIN_EXE_anonymizer"))
        .arg("photo-process")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert_eq!(child.status.code(), Some(1));
    assert!(child.stdout.is_empty());
}
