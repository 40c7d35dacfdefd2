//! An unavailable server fails no photo.

use std::{collections::BTreeMap, time::Duration};

use contract::{Verdict, headers::X_EARLIER_DELIVERIES, media::MediaType};
use test_support::{Behaviour, FaultProxy};
use tokio::time::Instant;

use crate::harness::{Harness, TIMEOUT, astronaut};

#[tokio::test(flavor = "multi_thread")]
async fn jobs_wait_for_the_store_and_continue_soon_after_it_recovers() {
    let (mut harness, proxy) = Harness::behind_store_proxy("10m").await;
    harness.worker.set("RUST_LOG", "info,anonymizer=debug");
    harness.start_worker().await;
    proxy.behave(Behaviour::Refuse).await;
    let photos = [
        harness.submit(1, astronaut()).await,
        harness.submit(2, astronaut()).await,
        harness.submit(3, astronaut()).await,
        harness.submit(4, astronaut()).await,
    ];
    harness.wait_until_paused().await;
    harness
        .wait_until("the backoff of a job reaches its maximum", async || {
            let lines = harness.worker.log_lines();
            let failures = lines
                .iter()
                .filter(|line| line["message"] == "step get still fails")
                .filter_map(|line| line["photo"]["id"].as_i64());
            let mut failures_by_photo = BTreeMap::<i64, u32>::new();
            failures.for_each(|photo| *failures_by_photo.entry(photo).or_default() += 1);
            // The delays are 0.1, 0.2, 0.4, 0.8, 1.6 and then 2 seconds.
            failures_by_photo.values().any(|failures| *failures >= 5)
        })
        .await;
    assert_eq!(harness.metric("anonymizer_consumer_paused").await, Some(1.0));
    proxy.restore().await;
    let restored_at = Instant::now();
    harness
        .wait_until("the consumer resumes", async || {
            harness.metric("anonymizer_consumer_paused").await == Some(0.0)
        })
        .await;
    assert!(
        restored_at.elapsed() < Duration::from_secs(10),
        "{:?}",
        restored_at.elapsed()
    );
    for _ in &photos {
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
    for photo in &photos {
        harness.assert_anonymized(photo).await;
    }
}

/// The message returns to the end of the queue before the broker's `consumer_timeout`. The
/// photo does not become suspect.
#[tokio::test(flavor = "multi_thread")]
async fn job_that_waits_too_long_is_republished() {
    let (mut harness, proxy) = Harness::behind_store_proxy("1s").await;
    harness.start_worker().await;
    proxy.behave(Behaviour::Refuse).await;
    let photo = harness.submit(1, astronaut()).await;
    harness
        .wait_until("the message is republished", async || {
            harness.worker.log().contains("published the message again")
        })
        .await;
    harness.worker.stop(TIMEOUT).unwrap();
    let message = harness.take_message(&harness.queues.jobs).await;
    assert_eq!(message.body, photo.job.encode().unwrap());
    assert!(message.header_number(X_EARLIER_DELIVERIES).is_some());
    proxy.restore().await;
    harness.publish_job(message.body).await;
    harness.start_worker().await;
    assert_eq!(harness.next_result().await.id, photo.id);
    harness.wait_until_drained().await;
    harness.assert_anonymized(&photo).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_fail_no_photo() {
    let mut harness = Harness::new().await;
    let access_key_id = harness.store.settings().access_key_id.clone();
    harness.worker.set("OBJECT_STORE_ACCESS_KEY_ID", "nobody");
    harness.start_worker().await;
    let photo = harness.submit(1, astronaut()).await;
    harness.wait_until_paused().await;
    harness.worker.kill().unwrap();
    harness.worker.set("OBJECT_STORE_ACCESS_KEY_ID", &access_key_id);
    harness.start_worker().await;
    let result = harness.next_result().await;
    assert_eq!(result.id, photo.id);
    assert!(matches!(result.verdict, Verdict::Anonymized { .. }), "{result:?}");
    harness.wait_until_drained().await;
    harness.assert_anonymized(&photo).await;
}

/// A missing bucket does not mean that the photo is missing.
#[tokio::test(flavor = "multi_thread")]
async fn missing_bucket_fails_no_photo() {
    let mut harness = Harness::new().await;
    let input = harness.store.settings().input_bucket.clone();
    harness
        .store
        .client()
        .delete_bucket()
        .bucket(&input)
        .send()
        .await
        .expect("bucket is deleted");
    harness.start_worker().await;
    let photo = harness.new_photo(1, MediaType::Png);
    harness.publish_job(photo.job.encode().unwrap()).await;
    harness.wait_until_paused().await;
    harness
        .store
        .client()
        .create_bucket()
        .bucket(&input)
        .send()
        .await
        .expect("bucket is created");
    assert_eq!(harness.next_failure(photo.id).await, "original-missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_returns_waiting_jobs_at_once() {
    let (mut harness, proxy) = Harness::behind_store_proxy("10m").await;
    harness.start_worker().await;
    proxy.behave(Behaviour::Refuse).await;
    let photo = harness.submit(1, astronaut()).await;
    harness.wait_until_paused().await;
    harness.worker.terminate();
    let status = harness.worker.ended(Duration::from_secs(10)).await.unwrap();
    assert!(status.success(), "{status}");
    let message = harness.take_message(&harness.queues.jobs).await;
    assert_eq!(message.body, photo.job.encode().unwrap());
    assert_eq!(message.deliveries_before(), 0);
}

/// The broker becomes unavailable during a job. The result waits for the broker, and the
/// worker that gets the message again reaches the same end.
#[tokio::test(flavor = "multi_thread")]
async fn result_waits_while_the_broker_is_unavailable() {
    let mut harness = Harness::new().await;
    let (host, port) = harness.broker_address();
    let proxy = FaultProxy::start(&format!("{host}:{port}")).unwrap();
    harness
        .worker
        .set("RABBITMQ_HOST", &proxy.address().ip().to_string());
    harness
        .worker
        .set("RABBITMQ_PORT", &proxy.address().port().to_string());
    harness.start_worker().await;
    let photo = harness.submit(1, astronaut()).await;
    harness.wait_until_in_work().await;
    proxy.behave(Behaviour::Refuse).await;
    harness
        .wait_until("the job waits", async || {
            harness.metric("anonymizer_jobs_held").await == Some(1.0)
        })
        .await;
    proxy.restore().await;
    let result = harness.next_result().await;
    assert_eq!(result.id, photo.id);
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
    // The result may be published again, but always with the same outcome.
    harness.wait_until_drained().await;
    harness.assert_anonymized(&photo).await;
    while let Some(repeated) = harness.next_result_within(Duration::from_secs(1)).await {
        assert!(
            matches!(repeated.verdict, Verdict::Anonymized { .. }),
            "{repeated:?}"
        );
    }
}
