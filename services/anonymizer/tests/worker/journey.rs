//! One photo from its message to its result, also if the message arrives twice.

use contract::{Verdict, headers::TRACEPARENT};
use service_runtime::store::StoreError;

use crate::harness::{Harness, TRACE_ID, astronaut};

#[tokio::test(flavor = "multi_thread")]
async fn photo_is_anonymised_and_its_result_published() {
    let harness = Harness::started().await;
    let photo = harness.submit(17, astronaut()).await;
    let (result, delivery) = harness.next_result_and_delivery().await;
    assert_eq!(result.id, photo.id);
    let Verdict::Anonymized {
        output,
        size_bytes,
        width,
        height,
        detections,
        seconds,
    } = result.verdict
    else {
        panic!("{result:?}");
    };
    assert_eq!((output, width, height), (photo.output.clone(), 512, 512));
    assert!(seconds.is_some_and(|seconds| seconds > 0.0));
    let detections = detections.expect("detections");
    for class in ["person", "face"] {
        assert!(
            detections.iter().any(|found| found.class == class),
            "{detections:?}"
        );
    }
    let trace = delivery.header_text(TRACEPARENT).expect("traceparent");
    assert_eq!(trace.split('-').nth(1), Some(TRACE_ID));
    assert_ne!(trace.split('-').nth(2), Some("b7ad6b7169203331"));
    harness.wait_until_drained().await;
    harness.assert_anonymized(&photo).await;
    assert_eq!(
        harness.read_object(&photo.output).await.unwrap().len() as u64,
        size_bytes
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn job_has_one_log_line_with_its_trace_and_no_file_name() {
    let harness = Harness::started().await;
    harness.submit(17, astronaut()).await;
    harness.next_result().await;
    harness.wait_until_drained().await;
    harness
        .wait_until("the job is logged", async || !job_log_lines(&harness).is_empty())
        .await;
    let lines = job_log_lines(&harness);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    let line = &lines[0];
    assert_eq!(line["trace_id"], TRACE_ID);
    assert_eq!(line["photo"]["id"], 17);
    assert_eq!(line["project"], "site-north");
    assert_eq!(line["outcome"], "anonymized");
    assert!(
        line["duration_seconds"]
            .as_f64()
            .is_some_and(|seconds| seconds > 0.0)
    );
    assert!(
        line["stage"]["detect_seconds"]
            .as_f64()
            .is_some_and(|seconds| seconds > 0.0)
    );
    assert!(
        line["detections"]["person"]
            .as_u64()
            .is_some_and(|people| people > 0)
    );
    assert!(!harness.worker.log().contains("IMG_0001"));
}

fn job_log_lines(harness: &Harness) -> Vec<serde_json::Value> {
    let lines = harness.worker.log_lines();
    lines
        .into_iter()
        .filter(|line| line["outcome"].is_string())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicate_message_is_answered_twice_but_processed_once() {
    let harness = Harness::started().await;
    let photo = harness.submit(17, astronaut()).await;
    let first = harness.next_result().await;
    harness.wait_until_drained().await;
    let output = harness.read_object(&photo.output).await.unwrap();
    harness.publish_job(photo.job.encode().unwrap()).await;
    let second = harness.next_result().await;
    assert_eq!(second.id, first.id);
    let Verdict::Anonymized {
        output: location,
        size_bytes,
        width,
        height,
        detections: None,
        ..
    } = second.verdict
    else {
        panic!("{second:?}");
    };
    assert_eq!((location, width, height), (photo.output.clone(), 512, 512));
    assert_eq!(size_bytes, output.len() as u64);
    harness.wait_until_drained().await;
    assert_eq!(harness.read_object(&photo.output).await.unwrap(), output);
}

#[tokio::test(flavor = "multi_thread")]
async fn photo_with_original_and_output_is_processed_again() {
    let mut harness = Harness::new().await;
    let photo = harness.submit(17, astronaut()).await;
    let stale = b"written by a worker that crashed".to_vec();
    harness
        .store
        .put(&photo.output, stale, "image/jpeg")
        .await
        .unwrap();
    harness.start_worker().await;
    let result = harness.next_result().await;
    assert!(
        matches!(
            result.verdict,
            Verdict::Anonymized {
                detections: Some(_),
                ..
            }
        ),
        "{result:?}"
    );
    harness.wait_until_drained().await;
    harness.assert_anonymized(&photo).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn photo_without_original_and_output_fails() {
    let harness = Harness::started().await;
    let photo = harness.new_photo(17, contract::media::MediaType::Jpeg);
    harness.publish_job(photo.job.encode().unwrap()).await;
    assert_eq!(harness.next_failure(photo.id).await, "original-missing");
    assert_eq!(
        harness.read_object(&photo.output).await,
        Err(StoreError::NotFound)
    );
}
