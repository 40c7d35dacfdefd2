//! Messages that belong to no photo, in both directions.

use chassis::broker::Message;
use contract::{
    Class, Detection, Outcome, PhotoId, PhotoResult,
    headers::{MAX_MESSAGE_BYTES, X_PARKED_REASON},
};
use e2e::pipeline::{PATIENCE, Pipeline, Setup, references};
use imaging::MAX_DETECTIONS;

use crate::{NONE, take};

#[tokio::test(flavor = "multi_thread")]
async fn strange_messages_are_parked_and_stop_nobody() {
    let pipeline = Pipeline::start(Setup::default()).await.unwrap();
    let (bases, _) = references().await.unwrap();
    let camera = pipeline.camera();
    pipeline.publisher.connected().await;
    let oversized = format!(
        r#"{{"version":1,"id":1,"name":"{}"}}"#,
        "x".repeat(MAX_MESSAGE_BYTES)
    );
    let queues = pipeline.queues().clone();
    for queue in [&queues.jobs, &queues.results] {
        for strange in [
            r#"{"version":99,"id":1}"#,
            r#"{"version":"one","id":1}"#,
            "[]",
            "",
            "\u{0}\u{1}\u{2}",
            "not JSON",
            r#"{"version":1}"#,
            &oversized,
        ] {
            let message = Message::new(strange).with_id("strange");
            pipeline.publisher.publish(queue, &message).await.unwrap();
            let parked = take(&pipeline, &queues.parked).await;
            assert_eq!(parked.body, strange.as_bytes(), "what is parked is what came");
            let reason = parked.header_text(X_PARKED_REASON);
            assert!(
                reason.is_some_and(|reason| !reason.is_empty()),
                "a reason for {strange:.40}"
            );
        }
        camera.deliver(&camera.shoot(bases), PATIENCE).await.unwrap();
        pipeline.settled(PATIENCE).await.unwrap();
    }
    pipeline.check(&NONE).await.unwrap();
}

/// Otherwise a photo of a crowd would never get its verdict.
#[test]
fn the_longest_result_is_read() {
    let detection = Detection {
        class: Class::Motorcycle,
        score: 0.123_456_79,
        x: u32::MAX,
        y: u32::MAX,
        width: u32::MAX,
        height: u32::MAX,
    };
    let key = format!("s3://bucket/photos/{}/2026-01-01/1.jpg", "p".repeat(255));
    let result = PhotoResult::new(
        PhotoId::try_from(i64::MAX).unwrap(),
        Outcome::Anonymized {
            output: key.parse().unwrap(),
            size_bytes: u64::MAX,
            width: u32::MAX,
            height: u32::MAX,
            detections: Some(vec![detection; MAX_DETECTIONS]),
            seconds: Some(f64::MIN_POSITIVE),
        },
    );
    let bytes = result.encode().unwrap().len();
    assert!(bytes <= MAX_MESSAGE_BYTES, "{bytes} of {MAX_MESSAGE_BYTES} bytes");
}

/// Whoever can write to the queue must not get at other photos.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_job_touches_nothing_else() {
    let mut pipeline = Pipeline::start(Setup::default()).await.unwrap();
    let (bases, _) = references().await.unwrap();
    let camera = pipeline.camera();
    let done = camera.deliver(&camera.shoot(bases), PATIENCE).await.unwrap();
    pipeline.settled(PATIENCE).await.unwrap();
    pipeline.workers[0].kill().unwrap();
    let waiting = camera.deliver(&camera.shoot(bases), PATIENCE).await.unwrap();
    let place = |column: &'static str, id: i64| {
        let database = pipeline.database.clone();
        async move {
            let query = format!("select {column} from photo where id = $1");
            let place: String = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
                .bind(id)
                .fetch_one(&database)
                .await
                .unwrap();
            place
        }
    };
    let (victim, original) = (place("output", done).await, place("original", waiting).await);
    // The original of one photo over the output of another.
    let forged = serde_json::json!({
        "version": 1, "id": done, "name": "x.jpg", "project": "site-0",
        "storage_location": original.trim_start_matches("s3://"), "uri": original, "output": victim,
    });
    pipeline.publisher.connected().await;
    pipeline
        .publisher
        .publish(&pipeline.queues().jobs, &Message::new(forged.to_string()))
        .await
        .unwrap();
    pipeline.workers[0].start().await.unwrap();
    // Both photos come out as they should: the forged verdict on a photo that
    // is done changes nothing.
    pipeline.check(&NONE).await.unwrap();
}
