//! Invalid and forged messages in both directions.

use contract::{
    Detection, PhotoId, PhotoResult, Verdict,
    headers::{MAX_MESSAGE_BYTES, X_PARKED_REASON},
};
use e2e::pipeline::{Pipeline, Setup, TIME_LIMIT, references};
use imaging::MAX_DETECTIONS;
use service_runtime::broker::Message;

use crate::{NO_FAILURES, receive};

#[tokio::test(flavor = "multi_thread")]
async fn invalid_messages_are_parked_and_block_nothing() {
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
        for invalid in [
            r#"{"version":99,"id":1}"#,
            r#"{"version":"one","id":1}"#,
            "[]",
            "",
            "\u{0}\u{1}\u{2}",
            "not JSON",
            r#"{"version":1}"#,
            &oversized,
        ] {
            let message = Message::new(invalid).with_id("invalid");
            pipeline.publisher.publish(queue, &message).await.unwrap();
            let parked = receive(&pipeline, &queues.parked).await;
            assert_eq!(parked.body, invalid.as_bytes(), "the parked message is unchanged");
            let reason = parked.header_text(X_PARKED_REASON);
            assert!(
                reason.is_some_and(|reason| !reason.is_empty()),
                "no reason for {invalid:.40}"
            );
        }
        camera.deliver(&camera.shoot(bases), TIME_LIMIT).await.unwrap();
        pipeline.wait_until_idle(TIME_LIMIT).await.unwrap();
    }
    pipeline.check(&NO_FAILURES).await.unwrap();
}

/// Otherwise a photo of a crowd would never get its result.
#[test]
fn the_longest_result_fits_into_a_message() {
    let detection = Detection {
        class: "motorcycle".to_owned(),
        score: 0.123_456_79,
        x: u32::MAX,
        y: u32::MAX,
        width: u32::MAX,
        height: u32::MAX,
    };
    let key = format!("s3://bucket/photos/{}/2026-01-01/1.jpg", "p".repeat(255));
    let result = PhotoResult::new(
        PhotoId::try_from(i64::MAX).unwrap(),
        Verdict::Anonymized {
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

/// A forged job must not change other photos.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_job_changes_no_other_photo() {
    let mut pipeline = Pipeline::start(Setup::default()).await.unwrap();
    let (bases, _) = references().await.unwrap();
    let camera = pipeline.camera();
    let done = camera.deliver(&camera.shoot(bases), TIME_LIMIT).await.unwrap();
    pipeline.wait_until_idle(TIME_LIMIT).await.unwrap();
    pipeline.workers[0].kill().unwrap();
    let waiting = camera.deliver(&camera.shoot(bases), TIME_LIMIT).await.unwrap();
    let location = |column: &'static str, id: i64| {
        let database = pipeline.database.clone();
        async move {
            let query = format!("select {column} from photo where id = $1");
            let location: String = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
                .bind(id)
                .fetch_one(&database)
                .await
                .unwrap();
            location
        }
    };
    let (victim, original) = (
        location("output", done).await,
        location("original", waiting).await,
    );
    // Writes the original of one photo over the output of another.
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
    // Both photos get their own results: the forged result for a finished photo changes nothing.
    pipeline.check(&NO_FAILURES).await.unwrap();
}
