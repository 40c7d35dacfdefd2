//! Consumers of the results queue and the dead-letter queue.

use contract::{Verdict, headers};
use irmgard::results::VerdictSource;
use serde_json::{Value, json};
use service_runtime::broker::{Consumer, Message};

use crate::{
    fixture::{Fixture, TIMEOUT, eventually},
    verdicts::{anonymized_verdict, apply_one, detections},
};

#[tokio::test]
async fn results_are_applied_and_unusable_messages_are_parked() {
    let fixture = Fixture::new().await;
    let queues = fixture.settings.broker.queues.clone();
    let id = fixture.insert_queued("0s").await;
    fixture.start_consumer(VerdictSource::Results);
    let odd = String::from_utf8(fixture.anonymized(id).encode().unwrap()).unwrap();
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
            fixture.anonymized(999_999.try_into().unwrap()).encode().unwrap(),
            "photo 999999 does not exist",
        ),
    ] {
        let message = Message::new(body.clone())
            .with_id("odd")
            .with_header(headers::TRACEPARENT, "t");
        fixture.publish(&queues.results, message).await;
        let parked = fixture.take_message(&queues.parked).await;
        assert_eq!(parked.body, body);
        assert_eq!(parked.message_id().as_deref(), Some("odd"));
        assert_eq!(parked.header_text(headers::TRACEPARENT).as_deref(), Some("t"));
        let reason_header = parked.header_text(headers::X_PARKED_REASON).unwrap();
        assert!(reason_header.contains(reason), "{reason_header}");
    }
    fixture
        .publish(
            &queues.results,
            Message::new(fixture.anonymized(id).encode().unwrap()),
        )
        .await;
    fixture.wait_for_status(id, "anonymized").await;
    let publisher = fixture.connected_publisher().await;
    eventually("the queue is empty", async || {
        publisher.messages_ready(&queues.results).await.unwrap() == 0
    })
    .await;
}

/// During a rollout, an older irmgard gets the results of newer workers.
#[tokio::test]
async fn a_result_of_a_newer_worker_is_applied_and_its_unknown_class_kept() {
    let fixture = Fixture::new().await;
    let queues = fixture.settings.broker.queues.clone();
    let id = fixture.insert_queued("0s").await;
    let mut result: Value = serde_json::from_slice(&fixture.anonymized(id).encode().unwrap()).unwrap();
    result["version"] = json!(7);
    result["gpu"] = json!({"name": "x"});
    result["detections"][0]["class"] = json!("crane");
    result["detections"][0]["mask"] = json!([1, 2]);
    fixture
        .publish(&queues.results, Message::new(result.to_string()))
        .await;
    fixture.start_consumer(VerdictSource::Results);
    fixture.wait_for_status(id, "anonymized").await;
    assert_eq!(detections(&fixture, id).await.unwrap()[0].class, "crane");
}

/// RabbitMQ 4 accepts messages up to 16 MiB by default.
#[tokio::test]
async fn huge_messages_are_parked_and_block_nothing() {
    let fixture = Fixture::new().await;
    let queues = fixture.settings.broker.queues.clone();
    let id = fixture.insert_queued("0s").await;
    let huge = vec![b' '; 15 << 20];
    for _ in 0..3 {
        fixture.publish(&queues.results, Message::new(huge.clone())).await;
    }
    let sound = Message::new(fixture.anonymized(id).encode().unwrap());
    fixture.publish(&queues.results, sound).await;
    fixture.start_consumer(VerdictSource::Results);
    fixture.wait_for_status(id, "anonymized").await;
    for _ in 0..3 {
        assert_eq!(fixture.take_message(&queues.parked).await.body.len(), huge.len());
    }
}

#[tokio::test]
async fn a_result_that_the_database_cannot_hold_is_parked_alone() {
    let fixture = Fixture::new().await;
    let queues = fixture.settings.broker.queues.clone();
    let (sound, odd) = (
        fixture.insert_queued("0s").await,
        fixture.insert_queued("0s").await,
    );
    // A constraint refuses it, like an unforeseen value.
    sqlx::query("ALTER TABLE photo ADD CHECK (output_size_bytes < 2000)")
        .execute(fixture.pool())
        .await
        .unwrap();
    let mut result = fixture.anonymized(odd);
    if let Verdict::Anonymized { size_bytes, .. } = &mut result.verdict {
        *size_bytes = 2000;
    }
    for result in [&result, &fixture.anonymized(sound)] {
        fixture
            .publish(&queues.results, Message::new(result.encode().unwrap()))
            .await;
    }
    fixture.start_consumer(VerdictSource::Results);
    fixture.wait_for_status(sound, "anonymized").await;
    let parked = fixture.take_message(&queues.parked).await;
    assert_eq!(parked.body, result.encode().unwrap());
    assert_eq!(fixture.status(odd).await, "queued");
}

/// `anonymized` is final: with a wrong location, the image would be lost and its original forgotten.
#[tokio::test]
async fn a_result_with_a_wrong_output_location_is_parked_and_the_right_one_is_applied() {
    let fixture = Fixture::new().await;
    let queues = fixture.settings.broker.queues.clone();
    let (id, neighbour) = (
        fixture.insert_queued("0s").await,
        fixture.insert_queued("0s").await,
    );
    let own_output = fixture.output(id.get()).to_string();
    let with_output = |output: &str| {
        let mut result = fixture.anonymized(id);
        if let Verdict::Anonymized { output: named, .. } = &mut result.verdict {
            *named = output.parse().unwrap();
        }
        result
    };
    let forged: Vec<_> = [
        fixture.original(id.get()).to_string(),
        fixture.output(neighbour.get()).to_string(),
        own_output.replace("/site/", "/other/"),
        own_output.replace("2026-01-02", "2026-01-03"),
        own_output.replace(".jpg", ".png"),
        own_output.replace("photos/", ""),
    ]
    .iter()
    .map(|output| with_output(output))
    .collect();
    for result in forged
        .iter()
        .chain([&fixture.anonymized(id), &fixture.anonymized(neighbour)])
    {
        let message = Message::new(result.encode().unwrap());
        fixture.publish(&queues.results, message).await;
    }
    fixture.start_consumer(VerdictSource::Results);
    for id in [id, neighbour] {
        fixture.wait_for_status(id, "anonymized").await;
        let output: String = sqlx::query_scalar("SELECT output FROM photo WHERE id = $1")
            .bind(id.get())
            .fetch_one(fixture.pool())
            .await
            .unwrap();
        assert_eq!(output, fixture.output(id.get()).to_string());
    }
    let parked = Consumer::subscribe(fixture.settings.broker.clone(), &queues.parked, 100);
    for result in &forged {
        let message = tokio::time::timeout(TIMEOUT, parked.next())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(message.body, result.encode().unwrap());
        let reason_header = message.header_text(headers::X_PARKED_REASON).unwrap();
        assert!(
            reason_header.contains(&format!("photo {id}'s output")),
            "{reason_header}"
        );
        message.ack().await.unwrap();
    }
}

#[tokio::test]
async fn no_result_is_lost_or_poisoned_while_the_database_is_unavailable() {
    let fixture = Fixture::new().await;
    let queues = fixture.settings.broker.queues.clone();
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(fixture.insert_queued("0s").await);
    }
    fixture.set_database_closed(true).await;
    let publisher = fixture.connected_publisher().await;
    for id in &ids {
        let message = Message::new(fixture.anonymized(*id).encode().unwrap());
        publisher.publish(&queues.results, &message).await.unwrap();
    }
    fixture.start_consumer(VerdictSource::Results);
    eventually("the consumer has all messages", async || {
        publisher.messages_ready(&queues.results).await.unwrap() == 0
    })
    .await;
    fixture.set_database_closed(false).await;
    for id in ids {
        fixture.wait_for_status(id, "anonymized").await;
    }
    assert_eq!(publisher.messages_ready(&queues.parked).await.unwrap(), 0);
    assert_eq!(publisher.messages_ready(&queues.dead).await.unwrap(), 0);
}

#[tokio::test]
async fn unwritten_results_return_to_the_broker_at_shutdown() {
    let fixture = Fixture::new().await;
    let queues = fixture.settings.broker.queues.clone();
    let id = fixture.insert_queued("0s").await;
    fixture.set_database_closed(true).await;
    fixture
        .publish(
            &queues.results,
            Message::new(fixture.anonymized(id).encode().unwrap()),
        )
        .await;
    let consumer = fixture.start_consumer(VerdictSource::Results);
    let publisher = fixture.connected_publisher().await;
    let ready = async || publisher.messages_ready(&queues.results).await.unwrap();
    eventually("the consumer has the message", async || ready().await == 0).await;
    fixture.end();
    tokio::time::timeout(TIMEOUT, consumer)
        .await
        .expect("the consumer stops although the database is unavailable")
        .unwrap();
    eventually("the message is back in the queue", async || ready().await == 1).await;
    fixture.set_database_closed(false).await;
}

/// Uses the same policy as the cluster: twenty returned deliveries.
#[tokio::test]
async fn a_job_that_the_broker_gives_up_on_fails_its_photo() {
    let fixture = Fixture::new().await;
    let queues = fixture.settings.broker.queues.clone();
    let id = fixture.insert_received().await;
    fixture.start_relay();
    fixture.wait_for_status(id, "queued").await;
    let worker = Consumer::subscribe(fixture.settings.broker.clone(), &queues.jobs, 1);
    let returning = tokio::spawn(async move {
        while let Some(job) = worker.next().await {
            let _ = job.requeue().await;
        }
    });
    fixture.start_consumer(VerdictSource::DeadLetters);
    fixture.wait_for_status(id, "failed").await;
    returning.abort();
    let row: (String, String) =
        sqlx::query_as("SELECT failure_reason, failure_detail FROM photo WHERE id = $1")
            .bind(id.get())
            .fetch_one(fixture.pool())
            .await
            .unwrap();
    assert_eq!(row.0, "delivery-limit");
    assert!(row.1.contains("delivery_limit in images"), "{}", row.1);
}

#[tokio::test]
async fn dead_letters_change_no_final_verdict_and_foreign_ones_are_parked() {
    let fixture = Fixture::new().await;
    let queues = fixture.settings.broker.queues.clone();
    let done = fixture.insert_queued("0s").await;
    apply_one(&fixture, anonymized_verdict(&fixture, done)).await;
    let waiting = fixture.insert_queued("0s").await;
    let publisher = fixture.connected_publisher().await;
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
    fixture.start_consumer(VerdictSource::DeadLetters);
    fixture.wait_for_status(waiting, "failed").await;
    assert_eq!(fixture.take_message(&queues.parked).await.body, foreign);
    assert_eq!(fixture.status(done).await, "anonymized");
}

#[tokio::test]
async fn hundreds_of_results_a_second_are_written() {
    const PHOTOS: i64 = 2000;
    let fixture = Fixture::new().await;
    let queues = fixture.settings.broker.queues.clone();
    let first = fixture.insert_queued("0s").await;
    sqlx::query(
        "INSERT INTO photo (project, name, status, taken_at, taken_at_source, media_type, size_bytes, width, height,
                            sha256, original)
         SELECT project, name, status, taken_at, taken_at_source, media_type, size_bytes, width, height, sha256,
                original
           FROM photo, generate_series(2, $2) WHERE id = $1",
    )
    .bind(first.get())
    .bind(PHOTOS)
    .execute(fixture.pool())
    .await
    .unwrap();
    sqlx::query(r"UPDATE photo SET original = regexp_replace(original, '\d+\.jpg$', id || '.jpg')")
        .execute(fixture.pool())
        .await
        .unwrap();
    let publisher = fixture.connected_publisher().await;
    let ids: Vec<i64> = sqlx::query_scalar("SELECT id FROM photo")
        .fetch_all(fixture.pool())
        .await
        .unwrap();
    let bodies = ids
        .into_iter()
        .map(|id| fixture.anonymized(id.try_into().unwrap()).encode().unwrap());
    let messages: Vec<Message> = bodies.map(Message::new).collect();
    for chunk in messages.chunks(64) {
        let published = chunk
            .iter()
            .map(|message| publisher.publish(&queues.results, message));
        futures::future::try_join_all(published).await.unwrap();
    }
    let began = tokio::time::Instant::now();
    fixture.start_consumer(VerdictSource::Results);
    eventually("all photos are anonymised", async || {
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM photo WHERE status <> 'anonymized'")
            .fetch_one(fixture.pool())
            .await
            .unwrap();
        left == 0
    })
    .await;
    let rate = PHOTOS as f64 / began.elapsed().as_secs_f64();
    println!("results: {rate:.0} a second");
    assert!(rate > 100.0, "{rate:.0} a second");
}
