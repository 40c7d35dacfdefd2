//! What arrives on the queues of results and of dead letters.

use chassis::broker::{Consumer, Message};
use contract::{Outcome, headers};
use irmgard::results::Inbox;

use crate::{
    place::{PATIENCE, Place, eventually},
    verdicts::{applied, success},
};

#[tokio::test]
async fn results_arrive_and_what_belongs_to_no_photo_is_parked() {
    let place = Place::new().await;
    let queues = place.settings.broker.queues.clone();
    let id = place.queued("0s").await;
    place.start_consumer(Inbox::Results);
    let odd = String::from_utf8(place.anonymized(id).encode().unwrap()).unwrap();
    for (body, reason) in [
        (b"not json".to_vec(), "not a result"),
        (
            odd.replace(r#""score":0.75"#, r#""score":1e300"#).into_bytes(),
            "impossible detection",
        ),
        (
            br#"{"version":7,"id":1,"outcome":"failed"}"#.to_vec(),
            "unknown version 7",
        ),
        (vec![b'x'; headers::MAX_MESSAGE_BYTES + 1], "more than"),
        (
            place.anonymized(999_999.try_into().unwrap()).encode().unwrap(),
            "no photo 999999",
        ),
    ] {
        let message = Message::new(body.clone())
            .with_id("odd")
            .with_header(headers::TRACEPARENT, "t");
        place.publish(&queues.results, message).await;
        let parked = place.take(&queues.parked).await;
        assert_eq!(parked.body, body);
        assert_eq!(parked.message_id().as_deref(), Some("odd"));
        assert_eq!(parked.header_text(headers::TRACEPARENT).as_deref(), Some("t"));
        let told = parked.header_text(headers::X_PARKED_REASON).unwrap();
        assert!(told.contains(reason), "{told}");
    }
    place
        .publish(
            &queues.results,
            Message::new(place.anonymized(id).encode().unwrap()),
        )
        .await;
    place.wait_for_status(id, "anonymized").await;
    let publisher = place.connected_publisher().await;
    eventually("nothing is left", async || {
        publisher.messages_ready(&queues.results).await.unwrap() == 0
    })
    .await;
}

/// As long as RabbitMQ 4 takes them (16 MiB) by default.
#[tokio::test]
async fn messages_of_many_megabytes_are_parked_and_hold_nothing_up() {
    let place = Place::new().await;
    let queues = place.settings.broker.queues.clone();
    let id = place.queued("0s").await;
    let huge = vec![b' '; 15 << 20];
    for _ in 0..3 {
        place.publish(&queues.results, Message::new(huge.clone())).await;
    }
    let sound = Message::new(place.anonymized(id).encode().unwrap());
    place.publish(&queues.results, sound).await;
    place.start_consumer(Inbox::Results);
    place.wait_for_status(id, "anonymized").await;
    for _ in 0..3 {
        assert_eq!(place.take(&queues.parked).await.body.len(), huge.len());
    }
}

#[tokio::test]
async fn a_result_that_the_database_cannot_hold_is_parked_alone() {
    let place = Place::new().await;
    let queues = place.settings.broker.queues.clone();
    let (sound, odd) = (place.queued("0s").await, place.queued("0s").await);
    // Refused by a constraint, as an unforeseen value would be.
    sqlx::query("ALTER TABLE photo ADD CHECK (output_size_bytes < 2000)")
        .execute(place.pool())
        .await
        .unwrap();
    let mut result = place.anonymized(odd);
    if let Outcome::Anonymized { size_bytes, .. } = &mut result.outcome {
        *size_bytes = 2000;
    }
    for result in [&result, &place.anonymized(sound)] {
        place
            .publish(&queues.results, Message::new(result.encode().unwrap()))
            .await;
    }
    place.start_consumer(Inbox::Results);
    place.wait_for_status(sound, "anonymized").await;
    let parked = place.take(&queues.parked).await;
    assert_eq!(parked.body, result.encode().unwrap());
    assert_eq!(place.status(odd).await, "queued");
}

/// An `anonymized` is final: with a wrong place nobody would see the picture
/// again, and nobody look for its original.
#[tokio::test]
async fn a_result_that_names_another_place_is_parked_and_the_photos_own_counts() {
    let place = Place::new().await;
    let queues = place.settings.broker.queues.clone();
    let (id, neighbour) = (place.queued("0s").await, place.queued("0s").await);
    let own = place.output(id.get()).to_string();
    let with_output = |output: &str| {
        let mut result = place.anonymized(id);
        if let Outcome::Anonymized { output: named, .. } = &mut result.outcome {
            *named = output.parse().unwrap();
        }
        result
    };
    let forged: Vec<_> = [
        place.original(id.get()).to_string(),
        place.output(neighbour.get()).to_string(),
        own.replace("/site/", "/other/"),
        own.replace("2026-01-02", "2026-01-03"),
        own.replace(".jpg", ".png"),
        own.replace("photos/", ""),
    ]
    .iter()
    .map(|output| with_output(output))
    .collect();
    for result in forged
        .iter()
        .chain([&place.anonymized(id), &place.anonymized(neighbour)])
    {
        let message = Message::new(result.encode().unwrap());
        place.publish(&queues.results, message).await;
    }
    place.start_consumer(Inbox::Results);
    for id in [id, neighbour] {
        place.wait_for_status(id, "anonymized").await;
        let output: String = sqlx::query_scalar("SELECT output FROM photo WHERE id = $1")
            .bind(id.get())
            .fetch_one(place.pool())
            .await
            .unwrap();
        assert_eq!(output, place.output(id.get()).to_string());
    }
    let parked = Consumer::subscribe(place.settings.broker.clone(), &queues.parked, 100);
    for result in &forged {
        let message = tokio::time::timeout(PATIENCE, parked.next())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(message.body, result.encode().unwrap());
        let told = message.header_text(headers::X_PARKED_REASON).unwrap();
        assert!(told.contains(&format!("photo {id}'s output")), "{told}");
        message.ack().await.unwrap();
    }
}

#[tokio::test]
async fn no_result_is_lost_or_poisoned_while_the_database_is_away() {
    let place = Place::new().await;
    let queues = place.settings.broker.queues.clone();
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(place.queued("0s").await);
    }
    place.shut_database(true).await;
    let publisher = place.connected_publisher().await;
    for id in &ids {
        let message = Message::new(place.anonymized(*id).encode().unwrap());
        publisher.publish(&queues.results, &message).await.unwrap();
    }
    place.start_consumer(Inbox::Results);
    eventually("the consumer holds them", async || {
        publisher.messages_ready(&queues.results).await.unwrap() == 0
    })
    .await;
    place.shut_database(false).await;
    for id in ids {
        place.wait_for_status(id, "anonymized").await;
    }
    assert_eq!(publisher.messages_ready(&queues.parked).await.unwrap(), 0);
    assert_eq!(publisher.messages_ready(&queues.dead).await.unwrap(), 0);
}

#[tokio::test]
async fn what_is_held_at_the_end_goes_back_to_the_broker() {
    let place = Place::new().await;
    let queues = place.settings.broker.queues.clone();
    let id = place.queued("0s").await;
    place.shut_database(true).await;
    place
        .publish(
            &queues.results,
            Message::new(place.anonymized(id).encode().unwrap()),
        )
        .await;
    let consumer = place.start_consumer(Inbox::Results);
    let publisher = place.connected_publisher().await;
    let ready = async || publisher.messages_ready(&queues.results).await.unwrap();
    eventually("the consumer holds it", async || ready().await == 0).await;
    place.end();
    tokio::time::timeout(PATIENCE, consumer)
        .await
        .expect("it ends although the database is away")
        .unwrap();
    eventually("it is back", async || ready().await == 1).await;
    place.shut_database(false).await;
}

/// Twenty returned deliveries, by the policy that the cluster has too.
#[tokio::test]
async fn a_job_that_the_broker_gives_up_on_fails_its_photo() {
    let place = Place::new().await;
    let queues = place.settings.broker.queues.clone();
    let id = place.received().await;
    place.start_relay();
    place.wait_for_status(id, "queued").await;
    let worker = Consumer::subscribe(place.settings.broker.clone(), &queues.jobs, 1);
    let returning = tokio::spawn(async move {
        while let Some(job) = worker.next().await {
            let _ = job.requeue().await;
        }
    });
    place.start_consumer(Inbox::DeadLetters);
    place.wait_for_status(id, "failed").await;
    returning.abort();
    let row: (String, String) =
        sqlx::query_as("SELECT failure_reason, failure_detail FROM photo WHERE id = $1")
            .bind(id.get())
            .fetch_one(place.pool())
            .await
            .unwrap();
    assert_eq!(row.0, "delivery-limit");
    assert!(row.1.contains("delivery_limit in images"), "{}", row.1);
}

#[tokio::test]
async fn dead_letters_change_no_final_verdict_and_foreign_ones_are_parked() {
    let place = Place::new().await;
    let queues = place.settings.broker.queues.clone();
    let done = place.queued("0s").await;
    applied(&place, success(&place, done)).await;
    let waiting = place.queued("0s").await;
    let publisher = place.connected_publisher().await;
    let foreign = br#"{"id":1,"name":"a.jpg","storage_location":"infiles/a.jpg"}"#;
    for body in [
        format!(r#"{{"version":1,"id":{done}}}"#).into_bytes(),
        foreign.to_vec(),
        format!(r#"{{"version":1,"id":{waiting}}}"#).into_bytes(),
    ] {
        publisher
            .publish(&queues.dead, &Message::new(body))
            .await
            .unwrap();
    }
    place.start_consumer(Inbox::DeadLetters);
    place.wait_for_status(waiting, "failed").await;
    assert_eq!(place.take(&queues.parked).await.body, foreign);
    assert_eq!(place.status(done).await, "anonymized");
}

#[tokio::test]
async fn hundreds_of_results_a_second_are_written() {
    const PHOTOS: i64 = 2000;
    let place = Place::new().await;
    let queues = place.settings.broker.queues.clone();
    let first = place.queued("0s").await;
    sqlx::query(
        "INSERT INTO photo (project, name, status, taken_at, taken_at_source, media_type, size_bytes, width, height,
                            sha256, original)
         SELECT project, name, status, taken_at, taken_at_source, media_type, size_bytes, width, height, sha256,
                original
           FROM photo, generate_series(2, $2) WHERE id = $1",
    )
    .bind(first.get())
    .bind(PHOTOS)
    .execute(place.pool())
    .await
    .unwrap();
    sqlx::query(r"UPDATE photo SET original = regexp_replace(original, '\d+\.jpg$', id || '.jpg')")
        .execute(place.pool())
        .await
        .unwrap();
    let publisher = place.connected_publisher().await;
    let ids: Vec<i64> = sqlx::query_scalar("SELECT id FROM photo")
        .fetch_all(place.pool())
        .await
        .unwrap();
    let bodies = ids
        .into_iter()
        .map(|id| place.anonymized(id.try_into().unwrap()).encode().unwrap());
    let messages: Vec<Message> = bodies.map(Message::new).collect();
    for some in messages.chunks(64) {
        let published = some
            .iter()
            .map(|message| publisher.publish(&queues.results, message));
        futures::future::try_join_all(published).await.unwrap();
    }
    let began = tokio::time::Instant::now();
    place.start_consumer(Inbox::Results);
    eventually("all have their result", async || {
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM photo WHERE status <> 'anonymized'")
            .fetch_one(place.pool())
            .await
            .unwrap();
        left == 0
    })
    .await;
    let rate = PHOTOS as f64 / began.elapsed().as_secs_f64();
    println!("results: {rate:.0} a second");
    assert!(rate > 100.0, "{rate:.0} a second");
}
