use std::{collections::HashMap, time::Duration};

use contract::{FailureReason, JobMessage, PhotoId, headers};
use irmgard::outbox::requeue_failed;
use service_runtime::broker::Consumer;
use sqlx::{Connection, PgConnection};

use crate::fixture::{Fixture, TIMEOUT, TRACEPARENT, eventually};

#[tokio::test]
async fn an_uploaded_photo_becomes_a_job_and_is_queued() {
    let fixture = Fixture::new().await;
    let id = fixture.insert_received().await;
    fixture.start_relay();
    fixture.wait_for_status(id, "queued").await;
    assert_eq!(fixture.outbox_length().await, 0);

    let job = fixture.take_message(&fixture.settings.broker.queues.jobs).await;
    assert_eq!(job.message_id().as_deref(), Some(id.to_string().as_str()));
    assert_eq!(
        job.header_text(headers::TRACEPARENT).as_deref(),
        Some(TRACEPARENT)
    );
    let JobMessage::Versioned(job) = JobMessage::decode(&job.body).unwrap() else {
        panic!("a job of ours");
    };
    assert_eq!(job.id, id);
    assert_eq!(job.name, "camera 7.jpg");
    assert_eq!(job.uri, fixture.original(id.get()));
    assert_eq!(
        job.storage_location,
        fixture.original(id.get()).storage_location()
    );
    assert_eq!(job.output, fixture.output(id.get()));
}

#[tokio::test]
async fn several_relays_publish_each_job_once() {
    const PHOTOS: usize = 200;
    let fixture = Fixture::new().await;
    let mut ids = Vec::new();
    for _ in 0..PHOTOS {
        ids.push(fixture.insert_received().await);
    }
    for _ in 0..3 {
        fixture.start_relay();
    }
    eventually("the outbox is empty", async || fixture.outbox_length().await == 0).await;
    let consumer = Consumer::subscribe(fixture.settings.broker.clone(), "images", 100);
    let mut copies: HashMap<String, usize> = HashMap::new();
    for _ in 0..PHOTOS {
        let job = tokio::time::timeout(TIMEOUT, consumer.next())
            .await
            .unwrap()
            .unwrap();
        job.ack().await.unwrap();
        *copies.entry(job.message_id().unwrap()).or_default() += 1;
    }
    assert_eq!(copies.len(), PHOTOS, "each job is published once");
    for id in ids {
        assert_eq!(fixture.status(id).await, "queued");
    }
}

#[tokio::test]
async fn a_job_that_no_queue_takes_stays_in_the_outbox_until_one_does() {
    let mut fixture = Fixture::new().await;
    let jobs = std::mem::replace(&mut fixture.settings.relay.jobs_queue, "missing".to_owned());
    let id = fixture.insert_received().await;
    fixture.start_relay();
    let has_refusals = async || {
        let row: (i32, Option<String>) = sqlx::query_as("SELECT attempts, last_error FROM outbox")
            .fetch_one(fixture.pool())
            .await
            .unwrap();
        row.0 >= 2 && row.1.is_some_and(|error| error.contains("does not exist"))
    };
    eventually("the refusals are counted", has_refusals).await;
    assert_eq!(
        fixture.status(id).await,
        "received",
        "lapin acks a returned message; it counts as failed"
    );

    fixture.settings.relay.jobs_queue = jobs;
    fixture.start_relay();
    fixture.wait_for_status(id, "queued").await;
}

#[tokio::test]
async fn the_lease_of_a_relay_that_died_runs_out() {
    let fixture = Fixture::new().await;
    let id = fixture.insert_received().await;
    sqlx::query("UPDATE outbox SET leased_until = now() + interval '2 seconds'")
        .execute(fixture.pool())
        .await
        .unwrap();
    let began = tokio::time::Instant::now();
    fixture.start_relay();
    fixture.wait_for_status(id, "queued").await;
    assert!(
        began.elapsed() > Duration::from_secs(1),
        "the lease was respected"
    );
}

#[tokio::test]
async fn a_verdict_that_is_faster_than_the_relays_mark_stays() {
    let fixture = Fixture::new().await;
    let id = fixture.insert_received().await;
    fixture.apply(&[fixture.anonymized(id)]).await;
    fixture.start_relay();
    eventually("the outbox is empty", async || fixture.outbox_length().await == 0).await;
    assert_eq!(fixture.status(id).await, "anonymized");
    let ready = fixture
        .connected_publisher()
        .await
        .messages_ready("images")
        .await
        .unwrap();
    assert_eq!(ready, 0, "no job is published");
}

/// The camera sends the photo again after its first job failed and before the relay marked that job as published.
#[tokio::test]
async fn a_photo_that_is_queued_again_before_the_mark_of_its_first_job_gets_a_second_job() {
    let fixture = Fixture::new().await;
    let id = fixture.insert_received().await;
    // The mark waits for this row.
    let mut connection = fixture.pool().acquire().await.unwrap();
    let mut again = connection.begin().await.unwrap();
    sqlx::query("SELECT FROM photo WHERE id = $1 FOR UPDATE")
        .bind(id.get())
        .execute(&mut *again)
        .await
        .unwrap();
    fixture.start_relay();
    let jobs = &fixture.settings.broker.queues.jobs;
    fixture.take_message(jobs).await;

    set_failed(&mut again, id).await;
    assert!(requeue_failed(&mut again, id, None).await.unwrap());
    again.commit().await.unwrap();
    let second = fixture.take_message(jobs).await;
    assert_eq!(second.message_id(), Some(id.to_string()));
    eventually("the outbox is empty", async || fixture.outbox_length().await == 0).await;
    assert_eq!(fixture.status(id).await, "queued");
}

/// A result is delivered twice, the second time after the photo was queued again.
#[tokio::test]
async fn a_late_copy_of_a_result_does_not_take_the_new_job_away() {
    let fixture = Fixture::new().await;
    let id = fixture.insert_failed(FailureReason::ProcessingError).await;
    let mut connection = fixture.pool().acquire().await.unwrap();
    assert!(requeue_failed(&mut connection, id, None).await.unwrap());
    set_failed(&mut connection, id).await;
    drop(connection);
    fixture.start_relay();
    let job = fixture.take_message(&fixture.settings.broker.queues.jobs).await;
    assert_eq!(job.message_id(), Some(id.to_string()));
}

#[tokio::test]
async fn a_failed_photo_without_an_original_gets_no_job() {
    let fixture = Fixture::new().await;
    let id = fixture.insert_received().await;
    let mut connection = fixture.pool().acquire().await.unwrap();
    set_failed(&mut connection, id).await;
    drop(connection);
    fixture
        .execute("UPDATE photo SET original = NULL WHERE id = $1", id)
        .await;
    fixture.start_relay();
    eventually("the outbox is empty", async || fixture.outbox_length().await == 0).await;
    assert_eq!(fixture.status(id).await, "failed");
    let publisher = fixture.connected_publisher().await;
    assert_eq!(publisher.messages_ready("images").await.unwrap(), 0);
}

async fn set_failed(connection: &mut PgConnection, id: PhotoId) {
    sqlx::query("UPDATE photo SET status = 'failed', failure_reason = 'processing-error' WHERE id = $1")
        .bind(id.get())
        .execute(connection)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_row_that_cannot_become_a_job_fails_its_photo_and_blocks_nothing() {
    let fixture = Fixture::new().await;
    let broken = fixture.insert_received().await;
    fixture
        .execute("UPDATE photo SET original = 'nowhere' WHERE id = $1", broken)
        .await;
    let sound = fixture.insert_received().await;
    fixture.start_relay();
    fixture.wait_for_status(broken, "failed").await;
    fixture.wait_for_status(sound, "queued").await;
    let reason: String = sqlx::query_scalar("SELECT failure_reason FROM photo WHERE id = $1")
        .bind(broken.get())
        .fetch_one(fixture.pool())
        .await
        .unwrap();
    assert_eq!(reason, FailureReason::MalformedMessage.code());
}

#[tokio::test]
async fn jobs_wait_for_the_database_to_come_back() {
    let fixture = Fixture::new().await;
    let id = fixture.insert_received().await;
    fixture.set_database_closed(true).await;
    let relay = fixture.start_relay();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(!relay.is_finished());
    fixture.set_database_closed(false).await;
    fixture.wait_for_status(id, "queued").await;
}

#[tokio::test]
async fn the_relay_publishes_hundreds_of_jobs_a_second() {
    const PHOTOS: i64 = 2000;
    let fixture = Fixture::new().await;
    let first = fixture.insert_received().await;
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
    .execute(fixture.pool())
    .await
    .unwrap();
    let began = tokio::time::Instant::now();
    fixture.start_relay();
    eventually("the outbox is empty", async || fixture.outbox_length().await == 0).await;
    let rate = PHOTOS as f64 / began.elapsed().as_secs_f64();
    println!("relay: {rate:.0} jobs/s");
    assert!(rate > 100.0, "{rate:.0} jobs/s");
}
