//! A store that is in order, but fails at one object.

use chassis::broker::Message;
use contract::{
    Outcome,
    headers::{X_PARKED_REASON, X_UNREADABLE_RETURNS},
    media::MediaType,
};

use crate::{
    faults::Faults,
    harness::{PATIENCE, Photo, Site, astronaut},
};

/// The rounds after which it is a verdict.
const ROUNDS: i64 = 120;

async fn site_with_faults(hold_limit: &str) -> (Site, Faults) {
    let mut site = Site::new().await;
    let endpoint = site.store.settings().endpoint.clone();
    let faults = Faults::before(endpoint.trim_start_matches("http://").to_owned()).await;
    site.worker
        .set("OBJECT_STORE_ENDPOINT", &format!("http://{}", faults.address));
    site.worker.set("HOLD_LIMIT", hold_limit);
    site.start().await;
    (site, faults)
}

/// Queues the photo's job as one that has been given back so often.
async fn queue_after(site: &Site, photo: &Photo, returns: i64) {
    let message = Message::new(photo.job.encode().unwrap()).with_header(X_UNREADABLE_RETURNS, returns);
    site.queue_message(&message).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn object_that_cannot_be_read_holds_nobody_up_and_is_a_verdict_in_the_end() {
    let (site, faults) = site_with_faults("10s").await;
    let broken = site.photo(1, MediaType::Png);
    site.store_original(&broken, astronaut()).await;
    faults.fail(&format!("GET /{}", broken.original.storage_location()));
    queue_after(&site, &broken, ROUNDS - 2).await;
    site.until("it is in work", async || {
        site.metric("anonymizer_jobs_in_flight").await == Some(1.0)
    })
    .await;
    let others = [site.post(2, astronaut()).await, site.post(3, astronaut()).await];
    for _ in &others {
        let result = site.result().await;
        assert!(matches!(result.outcome, Outcome::Anonymized { .. }), "{result:?}");
    }
    assert_eq!(site.failure(broken.id).await, "processing-error");
    let log = site.worker.log();
    assert_eq!(log.matches("published the message again").count(), 1, "{log}");
    assert!(!log.contains("taking no more jobs"), "{log}");
    site.no_result().await;
    assert!(site.is_there(&broken.original).await);
    assert!(!site.is_there(&broken.output).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn job_given_back_counts_it_and_comes_out_when_the_object_is_well_again() {
    let (mut site, faults) = site_with_faults("1s").await;
    faults.fail("/photos/");
    let photo = site.post(1, astronaut()).await;
    site.until("it was published again", async || {
        site.worker.log().contains("published the message again")
    })
    .await;
    site.worker.stop(PATIENCE).unwrap();
    let message = site.take(&site.queues.jobs).await;
    assert_eq!(message.body, photo.job.encode().unwrap());
    assert!(message.header_count(X_UNREADABLE_RETURNS) > 0);
    faults.fail("none of them");
    site.start().await;
    queue_after(&site, &photo, ROUNDS * 2).await;
    let result = site.result().await;
    assert!(matches!(result.outcome, Outcome::Anonymized { .. }), "{result:?}");
    site.drained().await;
    site.assert_anonymized(&photo).await;
}

/// The whole store fails, its bucket included: that says nothing about a photo.
#[tokio::test(flavor = "multi_thread")]
async fn failing_store_is_an_outage_and_no_verdict() {
    let (site, faults) = site_with_faults("1s").await;
    faults.fail(" /");
    let photo = site.photo(1, MediaType::Png);
    site.store_original(&photo, astronaut()).await;
    queue_after(&site, &photo, ROUNDS - 1).await;
    site.until("it was published again and again", async || {
        site.worker.log().matches("published the message again").count() >= 3
    })
    .await;
    assert!(site.worker.log().contains("taking no more jobs"));
    faults.fail("none of them");
    let result = site.result().await;
    assert!(matches!(result.outcome, Outcome::Anonymized { .. }), "{result:?}");
    site.drained().await;
    site.assert_anonymized(&photo).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_photo_of_the_given_web_service_is_parked() {
    let (site, faults) = site_with_faults("1s").await;
    let location = format!("{}/cam.jpg", site.store.settings().input_bucket);
    faults.fail("/cam.jpg");
    let body = format!(r#"{{"id":1,"name":"cam.jpg","storage_location":"{location}"}}"#);
    let message = Message::new(body).with_header(X_UNREADABLE_RETURNS, ROUNDS - 1);
    site.queue_message(&message).await;
    let parked = site.take(&site.queues.parked).await;
    let why = parked.header_text(X_PARKED_REASON).unwrap();
    assert!(
        why.starts_with("processing-error") && why.contains("500"),
        "{why}"
    );
}
