use std::{collections::HashMap, time::Duration};

use chassis::broker::Consumer;
use contract::{FailureReason, JobMessage, PhotoId, headers};
use irmgard::{photo::requeue, results::Verdict};
use sqlx::{Connection, PgConnection};

use crate::place::{PATIENCE, Place, TRACEPARENT, eventually};

#[tokio::test]
async fn an_uploaded_photo_becomes_a_job_and_is_queued() {
    let place = Place::new().await;
    let id = place.received().await;
    place.start_relay();
    place.wait_for_status(id, "queued").await;
    assert_eq!(place.outbox_length().await, 0);

    let job = place.take(&place.settings.broker.queues.jobs).await;
    assert_eq!(job.message_id().as_deref(), Some(id.to_string().as_str()));
    assert_eq!(
        job.header_text(headers::TRACEPARENT).as_deref(),
        Some(TRACEPARENT)
    );
    let JobMessage::Ours(job) = JobMessage::decode(&job.body).unwrap() else {
        panic!("a job of ours");
    };
    assert_eq!(job.id, id);
    assert_eq!(job.name, "camera 7.jpg");
    assert_eq!(job.uri, place.original(id.get()));
    assert_eq!(job.storage_location, place.original(id.get()).storage_location());
    assert_eq!(job.output, place.output(id.get()));
}

#[tokio::test]
async fn several_relays_publish_each_job_once() {
    const PHOTOS: usize = 200;
    let place = Place::new().await;
    let mut ids = Vec::new();
    for _ in 0..PHOTOS {
        ids.push(place.received().await);
    }
    for _ in 0..3 {
        place.start_relay();
    }
    eventually("the outbox is empty", async || place.outbox_length().await == 0).await;
    let consumer = Consumer::subscribe(place.settings.broker.clone(), "images", 100);
    let mut copies: HashMap<String, usize> = HashMap::new();
    for _ in 0..PHOTOS {
        let job = tokio::time::timeout(PATIENCE, consumer.next())
            .await
            .unwrap()
            .unwrap();
        job.ack().await.unwrap();
        *copies.entry(job.message_id().unwrap()).or_default() += 1;
    }
    assert_eq!(copies.len(), PHOTOS, "each is there, none twice");
    for id in ids {
        assert_eq!(place.status(id).await, "queued");
    }
}

#[tokio::test]
async fn a_job_that_no_queue_takes_stays_in_the_outbox_until_one_does() {
    let mut place = Place::new().await;
    let jobs = std::mem::replace(&mut place.settings.relay.jobs_queue, "missing".to_owned());
    let id = place.received().await;
    place.start_relay();
    let was_refused = async || {
        let row: (i32, Option<String>) = sqlx::query_as("SELECT attempts, last_error FROM outbox")
            .fetch_one(place.pool())
            .await
            .unwrap();
        row.0 >= 2 && row.1.is_some_and(|error| error.contains("returned"))
    };
    eventually("the refusals are counted", was_refused).await;
    assert_eq!(
        place.status(id).await,
        "received",
        "lapin acks a returned message; it counts as failed"
    );

    place.settings.relay.jobs_queue = jobs;
    place.start_relay();
    place.wait_for_status(id, "queued").await;
}

#[tokio::test]
async fn the_lease_of_a_relay_that_died_runs_out() {
    let place = Place::new().await;
    let id = place.received().await;
    sqlx::query("UPDATE outbox SET leased_until = now() + interval '2 seconds'")
        .execute(place.pool())
        .await
        .unwrap();
    let began = tokio::time::Instant::now();
    place.start_relay();
    place.wait_for_status(id, "queued").await;
    assert!(
        began.elapsed() > Duration::from_secs(1),
        "the lease was respected"
    );
}

#[tokio::test]
async fn a_verdict_that_is_faster_than_the_relays_mark_stays() {
    let place = Place::new().await;
    let id = place.received().await;
    let outcome = place.anonymized(id).outcome;
    place.apply(&[Verdict { id, outcome }]).await;
    place.start_relay();
    eventually("the outbox is empty", async || place.outbox_length().await == 0).await;
    assert_eq!(place.status(id).await, "anonymized");
    let ready = place
        .connected_publisher()
        .await
        .messages_ready("images")
        .await
        .unwrap();
    assert_eq!(ready, 0, "nobody has to do it again");
}

/// The camera posts the photo again after its first job has failed and before the
/// relay has marked that job as published.
#[tokio::test]
async fn a_photo_that_is_queued_again_before_the_mark_of_its_first_job_gets_a_second_job() {
    let place = Place::new().await;
    let id = place.received().await;
    // The mark waits for this row.
    let mut connection = place.pool().acquire().await.unwrap();
    let mut again = connection.begin().await.unwrap();
    sqlx::query("SELECT FROM photo WHERE id = $1 FOR UPDATE")
        .bind(id.get())
        .execute(&mut *again)
        .await
        .unwrap();
    place.start_relay();
    let jobs = &place.settings.broker.queues.jobs;
    place.take(jobs).await;

    fail(&mut again, id).await;
    assert!(requeue(&mut again, id, None).await.unwrap());
    again.commit().await.unwrap();
    let second = place.take(jobs).await;
    assert_eq!(second.message_id(), Some(id.to_string()));
    eventually("the outbox is empty", async || place.outbox_length().await == 0).await;
    assert_eq!(place.status(id).await, "queued");
}

/// A result is delivered twice, the second time after the photo was queued again.
#[tokio::test]
async fn a_late_copy_of_a_result_does_not_take_the_new_job_away() {
    let place = Place::new().await;
    let id = place.failed(FailureReason::ProcessingError).await;
    let mut connection = place.pool().acquire().await.unwrap();
    assert!(requeue(&mut connection, id, None).await.unwrap());
    fail(&mut connection, id).await;
    drop(connection);
    place.start_relay();
    let job = place.take(&place.settings.broker.queues.jobs).await;
    assert_eq!(job.message_id(), Some(id.to_string()));
}

#[tokio::test]
async fn a_failed_photo_without_an_original_gets_no_job() {
    let place = Place::new().await;
    let id = place.received().await;
    let mut connection = place.pool().acquire().await.unwrap();
    fail(&mut connection, id).await;
    drop(connection);
    place
        .execute("UPDATE photo SET original = NULL WHERE id = $1", id)
        .await;
    place.start_relay();
    eventually("the outbox is empty", async || place.outbox_length().await == 0).await;
    assert_eq!(place.status(id).await, "failed");
    let publisher = place.connected_publisher().await;
    assert_eq!(publisher.messages_ready("images").await.unwrap(), 0);
}

async fn fail(connection: &mut PgConnection, id: PhotoId) {
    sqlx::query("UPDATE photo SET status = 'failed', failure_reason = 'processing-error' WHERE id = $1")
        .bind(id.get())
        .execute(connection)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_row_that_cannot_become_a_job_fails_its_photo_and_blocks_nothing() {
    let place = Place::new().await;
    let broken = place.received().await;
    place
        .execute("UPDATE photo SET original = 'nowhere' WHERE id = $1", broken)
        .await;
    let sound = place.received().await;
    place.start_relay();
    place.wait_for_status(broken, "failed").await;
    place.wait_for_status(sound, "queued").await;
    let reason: String = sqlx::query_scalar("SELECT failure_reason FROM photo WHERE id = $1")
        .bind(broken.get())
        .fetch_one(place.pool())
        .await
        .unwrap();
    assert_eq!(reason, FailureReason::MalformedMessage.code());
}

#[tokio::test]
async fn jobs_wait_for_the_database_to_come_back() {
    let place = Place::new().await;
    let id = place.received().await;
    place.shut_database(true).await;
    let relay = place.start_relay();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(!relay.is_finished());
    place.shut_database(false).await;
    place.wait_for_status(id, "queued").await;
}

#[tokio::test]
async fn the_relay_publishes_hundreds_of_jobs_a_second() {
    const PHOTOS: i64 = 2000;
    let place = Place::new().await;
    let first = place.received().await;
    sqlx::query(
        "WITH new AS (
             INSERT INTO photo (project, name, taken_at, taken_at_source, media_type, size_bytes, width, height,
                                sha256, original)
             SELECT project, name, taken_at, taken_at_source, media_type, size_bytes, width, height, sha256, original
               FROM photo, generate_series(2, $2) WHERE id = $1
             RETURNING id)
         INSERT INTO outbox (photo_id) SELECT id FROM new",
    )
    .bind(first.get())
    .bind(PHOTOS)
    .execute(place.pool())
    .await
    .unwrap();
    let began = tokio::time::Instant::now();
    place.start_relay();
    eventually("the outbox is empty", async || place.outbox_length().await == 0).await;
    let rate = PHOTOS as f64 / began.elapsed().as_secs_f64();
    println!("relay: {rate:.0} jobs/s");
    assert!(rate > 100.0, "{rate:.0} jobs/s");
}
