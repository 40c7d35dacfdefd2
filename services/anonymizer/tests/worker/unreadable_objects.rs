//! An object store that works, but cannot read one object.

use contract::{
    Verdict,
    headers::{X_PARKED_REASON, X_UNREADABLE_RETURNS},
    media::MediaType,
};
use service_runtime::broker::Message;
use test_support::FaultProxy;

use crate::harness::{Harness, TIMEOUT, TestPhoto, astronaut};

/// Rounds after which the photo fails.
const MAX_ROUNDS: i64 = 120;

async fn harness_with_faults(hold_limit: &str) -> (Harness, FaultProxy) {
    let (mut harness, faults) = Harness::behind_store_proxy(hold_limit).await;
    harness.start_worker().await;
    (harness, faults)
}

/// Publishes the photo's job with this number of earlier returns.
async fn publish_with_returns(harness: &Harness, photo: &TestPhoto, returns: i64) {
    let message = Message::new(photo.job.encode().unwrap()).with_header(X_UNREADABLE_RETURNS, returns);
    harness.publish_message(&message).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_object_delays_no_other_job_and_fails_after_all_rounds() {
    let (harness, faults) = harness_with_faults("10s").await;
    let broken = harness.new_photo(1, MediaType::Png);
    harness.store_original(&broken, astronaut()).await;
    faults.respond_to(&format!("GET /{}", broken.original.storage_location()), 500, "");
    publish_with_returns(&harness, &broken, MAX_ROUNDS - 2).await;
    harness.wait_until_in_work().await;
    let others = [
        harness.submit(2, astronaut()).await,
        harness.submit(3, astronaut()).await,
    ];
    for _ in &others {
        let result = harness.next_result().await;
        assert!(matches!(result.verdict, Verdict::Anonymized { .. }), "{result:?}");
    }
    assert_eq!(harness.next_failure(broken.id).await, "processing-error");
    let log = harness.worker.log();
    assert_eq!(log.matches("published the message again").count(), 1, "{log}");
    assert!(!log.contains("taking no more jobs"), "{log}");
    harness.assert_no_result().await;
    assert!(harness.object_exists(&broken.original).await);
    assert!(!harness.object_exists(&broken.output).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn returned_job_is_counted_and_succeeds_when_the_object_is_readable() {
    let (mut harness, faults) = harness_with_faults("1s").await;
    faults.respond_to("/photos/", 500, "");
    let photo = harness.submit(1, astronaut()).await;
    harness
        .wait_until("the message is republished", async || {
            harness.worker.log().contains("published the message again")
        })
        .await;
    harness.worker.stop(TIMEOUT).unwrap();
    let message = harness.take_message(&harness.queues.jobs).await;
    assert_eq!(message.body, photo.job.encode().unwrap());
    assert!(message.header_count(X_UNREADABLE_RETURNS) > 0);
    faults.restore().await;
    harness.start_worker().await;
    publish_with_returns(&harness, &photo, MAX_ROUNDS * 2).await;
    let result = harness.next_result().await;
    assert!(matches!(result.verdict, Verdict::Anonymized { .. }), "{result:?}");
    harness.wait_until_drained().await;
    harness.assert_anonymized(&photo).await;
}

/// The whole store fails, including its bucket. That says nothing about a photo.
#[tokio::test(flavor = "multi_thread")]
async fn failing_store_is_an_outage_and_fails_no_photo() {
    let (harness, faults) = harness_with_faults("1s").await;
    faults.respond_to(" /", 500, "");
    let photo = harness.new_photo(1, MediaType::Png);
    harness.store_original(&photo, astronaut()).await;
    publish_with_returns(&harness, &photo, MAX_ROUNDS - 1).await;
    harness
        .wait_until("the message is republished three times", async || {
            harness
                .worker
                .log()
                .matches("published the message again")
                .count()
                >= 3
        })
        .await;
    assert!(harness.worker.log().contains("taking no more jobs"));
    faults.restore().await;
    let result = harness.next_result().await;
    assert!(matches!(result.verdict, Verdict::Anonymized { .. }), "{result:?}");
    harness.wait_until_drained().await;
    harness.assert_anonymized(&photo).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_legacy_service_photo_is_parked() {
    let (harness, faults) = harness_with_faults("1s").await;
    let location = format!("{}/cam.jpg", harness.store.settings().input_bucket);
    faults.respond_to("/cam.jpg", 500, "");
    let body = format!(r#"{{"id":1,"name":"cam.jpg","storage_location":"{location}"}}"#);
    let message = Message::new(body).with_header(X_UNREADABLE_RETURNS, MAX_ROUNDS - 1);
    harness.publish_message(&message).await;
    let parked = harness.take_message(&harness.queues.parked).await;
    let reason = parked.header_text(X_PARKED_REASON).unwrap();
    assert!(
        reason.starts_with("processing-error") && reason.contains("500"),
        "{reason}"
    );
}
