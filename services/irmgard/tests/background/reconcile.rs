use std::time::Duration;

use service_runtime::broker::Message;

use crate::fixture::Fixture;

#[tokio::test]
async fn a_photo_whose_job_was_lost_is_queued_again() {
    let fixture = Fixture::new().await;
    let lost = fixture.insert_queued("20m").await;
    let recent = fixture.insert_queued("5m").await;
    let pass = fixture
        .reconciler()
        .await
        .pass()
        .await
        .unwrap()
        .expect("no other reconciler works");
    assert_eq!(pass.requeued, [lost.get()]);
    assert_eq!(fixture.status(lost).await, "received");
    assert_eq!(fixture.status(recent).await, "queued");
    assert_eq!(fixture.outbox_length().await, 1);

    fixture.start_relay();
    fixture.wait_for_status(lost, "queued").await;
    let again = fixture.reconciler().await.pass().await.unwrap().unwrap();
    assert!(again.requeued.is_empty(), "the time starts again");
}

#[tokio::test]
async fn a_photo_that_waits_in_a_long_queue_is_not_requeued() {
    let fixture = Fixture::new().await;
    let waiting = fixture.insert_queued("1d").await;
    let queues = &fixture.settings.broker.queues;
    fixture.publish(&queues.jobs, Message::new("another job")).await;
    let reconciler = fixture.reconciler().await;
    for _ in 0..3 {
        assert!(reconciler.pass().await.unwrap().unwrap().requeued.is_empty());
    }
    assert_eq!(fixture.status(waiting).await, "queued");

    // Waiting results say as little about lost jobs.
    fixture.take_message(&queues.jobs).await;
    fixture
        .publish(&queues.results, Message::new("another result"))
        .await;
    assert!(reconciler.pass().await.unwrap().unwrap().requeued.is_empty());
    fixture.take_message(&queues.results).await;
    assert_eq!(
        reconciler.pass().await.unwrap().unwrap().requeued,
        [waiting.get()]
    );
}

#[tokio::test]
async fn an_overtaken_photo_is_queued_again_however_long_the_queue() {
    let fixture = Fixture::new().await;
    let lost = fixture.insert_queued("3h").await;
    let waiting = fixture.insert_queued("70m").await;
    let later = fixture.insert_queued("60m").await;
    fixture.apply(&[fixture.anonymized(later)]).await;
    fixture
        .publish(&fixture.settings.broker.queues.jobs, Message::new("another job"))
        .await;
    let pass = fixture.reconciler().await.pass().await.unwrap().unwrap();
    assert_eq!(pass.requeued, [lost.get()]);
    assert_eq!(
        fixture.status(waiting).await,
        "queued",
        "10 minutes do not prove a loss"
    );
}

/// A worker lets others pass while a large photo waits.
#[tokio::test]
async fn a_large_photo_may_be_overtaken_for_longer() {
    let fixture = Fixture::new().await;
    let [recent, lost] = [
        fixture.insert_queued("50m").await,
        fixture.insert_queued("2h").await,
    ];
    let large = "UPDATE photo SET width = 6000, height = 5000 WHERE id = ANY ($1)";
    sqlx::query(large)
        .bind([recent.get(), lost.get()])
        .execute(fixture.pool())
        .await
        .unwrap();
    let later = fixture.insert_queued("1m").await;
    fixture.apply(&[fixture.anonymized(later)]).await;
    let pass = fixture.reconciler().await.pass().await.unwrap().unwrap();
    assert_eq!(pass.requeued, [lost.get()]);
    assert_eq!(fixture.status(recent).await, "queued");
}

#[tokio::test]
async fn a_photo_without_an_outbox_row_gets_one() {
    let fixture = Fixture::new().await;
    let (healthy, broken) = (fixture.insert_received().await, fixture.insert_received().await);
    fixture
        .execute("DELETE FROM outbox WHERE photo_id = $1", broken)
        .await;
    sqlx::query("UPDATE photo SET received_at = now() - interval '5 minutes'")
        .execute(fixture.pool())
        .await
        .unwrap();
    let pass = fixture.reconciler().await.pass().await.unwrap().unwrap();
    assert_eq!(pass.outbox_rows_added, [broken.get()]);
    fixture.start_relay();
    fixture.wait_for_status(healthy, "queued").await;
    fixture.wait_for_status(broken, "queued").await;
}

#[tokio::test]
async fn one_reconciler_works_at_a_time_and_the_lock_dies_with_its_holder() {
    let fixture = Fixture::new().await;
    let mut holder = fixture.database.relay().acquire().await.unwrap();
    sqlx::query("SELECT pg_advisory_lock(x'7265636f6e63696c'::bigint)")
        .execute(&mut *holder)
        .await
        .unwrap();
    let reconciler = fixture.reconciler().await;
    assert_eq!(reconciler.pass().await.unwrap(), None);
    holder.close_on_drop();
    drop(holder);
    let has_lock = async || reconciler.pass().await.unwrap().is_some();
    crate::fixture::eventually("the lock is free", has_lock).await;
    assert!(
        reconciler.pass().await.unwrap().is_some(),
        "the lock is released after each pass"
    );
}

#[tokio::test]
async fn idempotency_keys_are_forgotten_after_their_time() {
    let fixture = Fixture::new().await;
    let id = fixture.insert_received().await;
    for (key, days) in [("old", 8), ("young", 6)] {
        sqlx::query(
            "INSERT INTO idempotency_key (project, key, sha256, photo_id, created_at)
             VALUES ('site', $1, sha256('x'), $2, now() - make_interval(days => $3))",
        )
        .bind(key)
        .bind(id.get())
        .bind(days)
        .execute(fixture.pool())
        .await
        .unwrap();
    }
    assert_eq!(
        fixture.settings.reconcile.idempotency_key_age,
        Duration::from_secs(7 * 24 * 3600)
    );
    let pass = fixture.reconciler().await.pass().await.unwrap().unwrap();
    assert_eq!(pass.keys_deleted, 1);
    let left: Vec<String> = sqlx::query_scalar("SELECT key FROM idempotency_key")
        .fetch_all(fixture.pool())
        .await
        .unwrap();
    assert_eq!(left, ["young"]);
}
