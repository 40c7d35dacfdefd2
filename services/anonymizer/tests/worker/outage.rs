//! A server that is away fails no photo.

use std::time::Duration;

use contract::{Outcome, headers::X_EARLIER_DELIVERIES, media::MediaType};
use local::proxy::{Behaviour, Proxy};
use tokio::time::Instant;

use crate::harness::{PATIENCE, Site, astronaut};

async fn site_behind_a_proxy(hold_limit: &str) -> (Site, Proxy) {
    let mut site = Site::new().await;
    let server = site
        .store
        .settings()
        .endpoint
        .trim_start_matches("http://")
        .to_owned();
    let proxy = Proxy::start(server).await.unwrap();
    site.worker
        .set("OBJECT_STORE_ENDPOINT", &format!("http://{}", proxy.address()));
    site.worker.set("HOLD_LIMIT", hold_limit);
    (site, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_held_while_the_store_is_away_and_go_on_soon_after() {
    let (mut site, proxy) = site_behind_a_proxy("10m").await;
    site.start().await;
    proxy.behave(Behaviour::Refuse).await;
    let photos = [
        site.post(1, astronaut()).await,
        site.post(2, astronaut()).await,
        site.post(3, astronaut()).await,
        site.post(4, astronaut()).await,
    ];
    site.until("the consumer pauses", async || {
        site.metric("anonymizer_consumer_paused").await == Some(1.0)
    })
    .await;
    // Long enough for the waits between tries to have grown.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(site.metric("anonymizer_consumer_paused").await, Some(1.0));
    proxy.restore().await;
    let back = Instant::now();
    site.until("work goes on", async || {
        site.metric("anonymizer_consumer_paused").await == Some(0.0)
    })
    .await;
    assert!(back.elapsed() < Duration::from_secs(10), "{:?}", back.elapsed());
    for _ in &photos {
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
    for photo in &photos {
        site.assert_anonymized(photo).await;
    }
}

/// The message goes to the end of the queue before the broker's
/// `consumer_timeout`, and the photo is no suspect for it.
#[tokio::test(flavor = "multi_thread")]
async fn job_that_is_held_too_long_is_published_again() {
    let (mut site, proxy) = site_behind_a_proxy("1s").await;
    site.start().await;
    proxy.behave(Behaviour::Refuse).await;
    let photo = site.post(1, astronaut()).await;
    site.until("it was published again", async || {
        site.worker.log().contains("published the message again")
    })
    .await;
    site.worker.stop(PATIENCE).unwrap();
    let message = site.take(&site.queues.jobs).await;
    assert_eq!(message.body, photo.job.encode().unwrap());
    assert!(message.header_number(X_EARLIER_DELIVERIES).is_some());
    proxy.restore().await;
    site.queue(message.body).await;
    site.start().await;
    assert_eq!(site.result().await.id, photo.id);
    site.drained().await;
    site.assert_anonymized(&photo).await;
}

/// Wrong credentials say nothing about a photo.
#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_fail_no_photo() {
    let mut site = Site::new().await;
    let right = site.store.settings().access_key_id.clone();
    site.worker.set("OBJECT_STORE_ACCESS_KEY_ID", "nobody");
    site.start().await;
    let photo = site.post(1, astronaut()).await;
    site.until("the consumer pauses", async || {
        site.metric("anonymizer_consumer_paused").await == Some(1.0)
    })
    .await;
    site.worker.kill().unwrap();
    site.worker.set("OBJECT_STORE_ACCESS_KEY_ID", &right);
    site.start().await;
    let result = site.result().await;
    assert_eq!(result.id, photo.id);
    assert!(matches!(result.outcome, Outcome::Anonymized { .. }), "{result:?}");
    site.drained().await;
    site.assert_anonymized(&photo).await;
}

/// A bucket that is missing is not a missing photo.
#[tokio::test(flavor = "multi_thread")]
async fn missing_bucket_fails_no_photo() {
    let mut site = Site::new().await;
    let input = site.store.settings().input_bucket.clone();
    site.store
        .client()
        .delete_bucket()
        .bucket(&input)
        .send()
        .await
        .expect("bucket is gone");
    site.start().await;
    let photo = site.photo(1, MediaType::Png);
    site.queue(photo.job.encode().unwrap()).await;
    site.until("the consumer pauses", async || {
        site.metric("anonymizer_consumer_paused").await == Some(1.0)
    })
    .await;
    site.store
        .client()
        .create_bucket()
        .bucket(&input)
        .send()
        .await
        .expect("bucket is back");
    assert_eq!(site.failure(photo.id).await, "original-missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_gives_held_jobs_back_at_once() {
    let (mut site, proxy) = site_behind_a_proxy("10m").await;
    site.start().await;
    proxy.behave(Behaviour::Refuse).await;
    let photo = site.post(1, astronaut()).await;
    site.until("the consumer pauses", async || {
        site.metric("anonymizer_consumer_paused").await == Some(1.0)
    })
    .await;
    site.worker.terminate();
    let status = site.worker.ended(Duration::from_secs(10)).await.unwrap();
    assert!(status.success(), "{status}");
    let message = site.take(&site.queues.jobs).await;
    assert_eq!(message.body, photo.job.encode().unwrap());
    assert_eq!(message.deliveries_before(), 0);
}

/// The broker goes away in the middle of a job: the result waits for it, and
/// whoever gets the message again comes to the same end.
#[tokio::test(flavor = "multi_thread")]
async fn broker_that_goes_away_during_a_job_gets_its_result_later() {
    let mut site = Site::new().await;
    let (host, port) = site.broker_address();
    let proxy = Proxy::start(format!("{host}:{port}")).await.unwrap();
    site.worker
        .set("RABBITMQ_HOST", &proxy.address().ip().to_string());
    site.worker
        .set("RABBITMQ_PORT", &proxy.address().port().to_string());
    site.start().await;
    let photo = site.post(1, astronaut()).await;
    site.until("the job is in work", async || {
        site.metric("anonymizer_jobs_in_flight").await == Some(1.0)
    })
    .await;
    proxy.behave(Behaviour::Refuse).await;
    site.until("the job is held", async || {
        site.metric("anonymizer_jobs_held").await == Some(1.0)
    })
    .await;
    proxy.restore().await;
    let result = site.result().await;
    assert_eq!(result.id, photo.id);
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
    // It may be told again, but never otherwise.
    site.drained().await;
    site.assert_anonymized(&photo).await;
    while let Some(again) = site.result_within(Duration::from_secs(1)).await {
        assert!(matches!(again.outcome, Outcome::Anonymized { .. }), "{again:?}");
    }
}
