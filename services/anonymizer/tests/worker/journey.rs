//! One photo from its message to its result, also when it comes twice.

use chassis::store::StoreError;
use contract::{Class, Outcome, headers::TRACEPARENT};

use crate::harness::{Site, TRACE, astronaut};

#[tokio::test(flavor = "multi_thread")]
async fn photo_is_anonymised_and_told() {
    let mut site = Site::new().await;
    site.start().await;
    let photo = site.post(17, astronaut()).await;
    let (result, delivery) = site.result_and_delivery().await;
    assert_eq!(result.id, photo.id);
    let Outcome::Anonymized {
        output,
        size_bytes,
        width,
        height,
        detections,
        seconds,
    } = result.outcome
    else {
        panic!("{result:?}");
    };
    assert_eq!((output, width, height), (photo.output.clone(), 512, 512));
    assert!(seconds.is_some_and(|seconds| seconds > 0.0));
    let detections = detections.expect("detections");
    for class in [Class::Person, Class::Face] {
        assert!(
            detections.iter().any(|found| found.class == class),
            "{detections:?}"
        );
    }
    let trace = delivery.header_text(TRACEPARENT).expect("traceparent");
    assert_eq!(trace.split('-').nth(1), Some(TRACE));
    assert_ne!(trace.split('-').nth(2), Some("b7ad6b7169203331"));
    site.drained().await;
    site.assert_anonymized(&photo).await;
    assert_eq!(site.read(&photo.output).await.unwrap().len() as u64, size_bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn job_has_one_line_with_its_trace_and_no_file_name() {
    let mut site = Site::new().await;
    site.start().await;
    site.post(17, astronaut()).await;
    site.result().await;
    site.drained().await;
    site.until("the job's line", async || !job_lines(&site).is_empty())
        .await;
    let lines = job_lines(&site);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    let line = &lines[0];
    assert_eq!(line["trace_id"], TRACE);
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
    assert!(!site.worker.log().contains("IMG_0001"));
}

fn job_lines(site: &Site) -> Vec<serde_json::Value> {
    let lines = site.worker.log_lines();
    lines
        .into_iter()
        .filter(|line| line["outcome"].is_string())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn message_that_comes_twice_is_answered_twice_and_works_once() {
    let mut site = Site::new().await;
    site.start().await;
    let photo = site.post(17, astronaut()).await;
    let first = site.result().await;
    site.drained().await;
    let output = site.read(&photo.output).await.unwrap();
    site.queue(photo.job.encode().unwrap()).await;
    let second = site.result().await;
    assert_eq!(second.id, first.id);
    let Outcome::Anonymized {
        output: location,
        size_bytes,
        width,
        height,
        detections: None,
        ..
    } = second.outcome
    else {
        panic!("{second:?}");
    };
    assert_eq!((location, width, height), (photo.output.clone(), 512, 512));
    assert_eq!(size_bytes, output.len() as u64);
    site.drained().await;
    assert_eq!(site.read(&photo.output).await.unwrap(), output);
}

#[tokio::test(flavor = "multi_thread")]
async fn photo_with_original_and_output_is_done_again() {
    let mut site = Site::new().await;
    let photo = site.post(17, astronaut()).await;
    let stale = b"put by a worker that died".to_vec();
    site.store.put(&photo.output, stale, "image/jpeg").await.unwrap();
    site.start().await;
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
    site.drained().await;
    site.assert_anonymized(&photo).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn photo_that_is_nowhere_has_failed() {
    let mut site = Site::new().await;
    site.start().await;
    let photo = site.photo(17, contract::media::MediaType::Jpeg);
    site.queue(photo.job.encode().unwrap()).await;
    assert_eq!(site.failure(photo.id).await, "original-missing");
    assert_eq!(site.read(&photo.output).await, Err(StoreError::NotFound));
}
