use std::time::Duration;

use chassis::broker::Message;
use irmgard::results::Verdict;

use crate::place::Place;

#[tokio::test]
async fn a_photo_whose_job_was_lost_is_queued_again() {
    let place = Place::new().await;
    let lost = place.queued("20m").await;
    let recent = place.queued("5m").await;
    let pass = place
        .reconciler()
        .await
        .pass()
        .await
        .unwrap()
        .expect("nobody else is at it");
    assert_eq!(pass.queued_again, [lost.get()]);
    assert_eq!(place.status(lost).await, "received");
    assert_eq!(place.status(recent).await, "queued");
    assert_eq!(place.outbox_length().await, 1);

    place.start_relay();
    place.wait_for_status(lost, "queued").await;
    let again = place.reconciler().await.pass().await.unwrap().unwrap();
    assert!(again.queued_again.is_empty(), "its time begins anew");
}

#[tokio::test]
async fn a_photo_that_waits_in_a_long_queue_is_left_there() {
    let place = Place::new().await;
    let waiting = place.queued("1d").await;
    let queues = &place.settings.broker.queues;
    place.publish(&queues.jobs, Message::new("somebody's job")).await;
    let reconciler = place.reconciler().await;
    for _ in 0..3 {
        assert!(reconciler.pass().await.unwrap().unwrap().queued_again.is_empty());
    }
    assert_eq!(place.status(waiting).await, "queued");

    // Results that wait for us say as little about what was lost.
    place.take(&queues.jobs).await;
    place
        .publish(&queues.results, Message::new("somebody's result"))
        .await;
    assert!(reconciler.pass().await.unwrap().unwrap().queued_again.is_empty());
    place.take(&queues.results).await;
    assert_eq!(
        reconciler.pass().await.unwrap().unwrap().queued_again,
        [waiting.get()]
    );
}

#[tokio::test]
async fn a_photo_that_later_ones_have_overtaken_is_queued_again_however_long_the_queue() {
    let place = Place::new().await;
    let lost = place.queued("3h").await;
    let waiting = place.queued("70m").await;
    let later = place.queued("60m").await;
    let outcome = place.anonymized(later).outcome;
    place.apply(&[Verdict { id: later, outcome }]).await;
    place
        .publish(&place.settings.broker.queues.jobs, Message::new("somebody's job"))
        .await;
    let pass = place.reconciler().await.pass().await.unwrap().unwrap();
    assert_eq!(pass.queued_again, [lost.get()]);
    assert_eq!(place.status(waiting).await, "queued", "10 minutes are no proof");
}

/// A worker lets others pass while a large photo waits.
#[tokio::test]
async fn a_large_photo_may_be_overtaken_for_longer() {
    let place = Place::new().await;
    let [recent, lost] = [place.queued("50m").await, place.queued("2h").await];
    let large = "UPDATE photo SET width = 6000, height = 5000 WHERE id = ANY ($1)";
    sqlx::query(large)
        .bind([recent.get(), lost.get()])
        .execute(place.pool())
        .await
        .unwrap();
    let later = place.queued("1m").await;
    let outcome = place.anonymized(later).outcome;
    place.apply(&[Verdict { id: later, outcome }]).await;
    let pass = place.reconciler().await.pass().await.unwrap().unwrap();
    assert_eq!(pass.queued_again, [lost.get()]);
    assert_eq!(place.status(recent).await, "queued");
}

#[tokio::test]
async fn a_photo_without_an_outbox_row_gets_one() {
    let place = Place::new().await;
    let (healthy, broken) = (place.received().await, place.received().await);
    place
        .execute("DELETE FROM outbox WHERE photo_id = $1", broken)
        .await;
    sqlx::query("UPDATE photo SET received_at = now() - interval '5 minutes'")
        .execute(place.pool())
        .await
        .unwrap();
    let pass = place.reconciler().await.pass().await.unwrap().unwrap();
    assert_eq!(pass.healed, [broken.get()]);
    place.start_relay();
    place.wait_for_status(healthy, "queued").await;
    place.wait_for_status(broken, "queued").await;
}

#[tokio::test]
async fn one_reconciler_works_at_a_time_and_the_lock_dies_with_its_holder() {
    let place = Place::new().await;
    let mut holder = place.database.relay().acquire().await.unwrap();
    sqlx::query("SELECT pg_advisory_lock(x'7265636f6e63696c'::bigint)")
        .execute(&mut *holder)
        .await
        .unwrap();
    let reconciler = place.reconciler().await;
    assert_eq!(reconciler.pass().await.unwrap(), None);
    holder.close_on_drop();
    drop(holder);
    let took_over = async || reconciler.pass().await.unwrap().is_some();
    crate::place::eventually("the lock is free", took_over).await;
    assert!(
        reconciler.pass().await.unwrap().is_some(),
        "and given up after each pass"
    );
}

#[tokio::test]
async fn idempotency_keys_are_forgotten_after_their_time() {
    let place = Place::new().await;
    let id = place.received().await;
    for (key, days) in [("old", 8), ("young", 6)] {
        sqlx::query(
            "INSERT INTO idempotency_key (project, key, sha256, photo_id, created_at)
             VALUES ('site', $1, sha256('x'), $2, now() - make_interval(days => $3))",
        )
        .bind(key)
        .bind(id.get())
        .bind(days)
        .execute(place.pool())
        .await
        .unwrap();
    }
    assert_eq!(
        place.settings.reconcile.idempotency_key_age,
        Duration::from_secs(7 * 24 * 3600)
    );
    let pass = place.reconciler().await.pass().await.unwrap().unwrap();
    assert_eq!(pass.keys_forgotten, 1);
    let left: Vec<String> = sqlx::query_scalar("SELECT key FROM idempotency_key")
        .fetch_all(place.pool())
        .await
        .unwrap();
    assert_eq!(left, ["young"]);
}
