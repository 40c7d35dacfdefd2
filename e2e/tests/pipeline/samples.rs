//! Every sample photo through an undisturbed pipeline.

use std::{fs, time::Duration};

use contract::Detection;
use e2e::{
    photos::sample_photos,
    picture::Picture,
    pipeline::{Pipeline, Setup, TIME_LIMIT},
};
use reqwest::multipart::{Form, Part};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_is_anonymised_with_one_trace_id() {
    let pipeline = Pipeline::start(Setup::default()).await.unwrap();
    let camera = pipeline.camera();
    let base = camera.address();
    let mut uploads = Vec::new();
    for (number, sample) in sample_photos().unwrap().into_iter().enumerate() {
        for as_form in [false, true] {
            let trace_id = format!("{:032x}", 0xabc0 + 2 * number + usize::from(as_form));
            let request = camera
                .client()
                .post(format!("{base}/projects/samples/photos"))
                .header("traceparent", format!("00-{trace_id}-00f067aa0ba902b7-01"));
            let request = if as_form {
                let part = Part::bytes(sample.file.clone()).file_name(sample.name.clone());
                request.multipart(Form::new().part("image", part))
            } else {
                request.body(sample.file.clone())
            };
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 202, "{}", sample.name);
            let location = response.headers()["location"].to_str().unwrap().to_owned();
            let photo: Value = response.json().await.unwrap();
            assert_eq!(photo["trace_id"], trace_id);
            uploads.push((sample.clone(), location, photo["id"].as_i64().unwrap(), trace_id));
        }
    }
    pipeline.wait_until_idle(TIME_LIMIT).await.unwrap();

    for (sample, location, id, trace_id) in &uploads {
        let url = format!("{base}{location}");
        let photo: Value = camera
            .client()
            .get(&url)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert_eq!(photo["status"], "anonymized", "{}: {photo}", sample.name);
        let detections: Vec<Detection> = serde_json::from_value(photo["detections"].clone()).unwrap();
        assert!(!detections.is_empty(), "no detections in {}", sample.name);

        let image = camera.client().get(format!("{url}/image")).send().await.unwrap();
        assert_eq!(image.status(), 200);
        assert_eq!(image.headers()["content-type"], "image/jpeg");
        let image = image.bytes().await.unwrap();
        assert_no_metadata(&image);
        let (before, after) = (
            Picture::decode(&sample.file).unwrap(),
            Picture::decode(&image).unwrap(),
        );
        assert_eq!((before.width, before.height), (after.width, after.height));
        let visible = after.unobscured(&before, &detections);
        assert!(visible.is_empty(), "not obscured in {}: {visible:?}", sample.name);

        assert_traced(&pipeline, *id, trace_id).await;
    }
    // Logs must not contain file names, which may be personal data.
    for service in pipeline.irmgards.iter().chain(&pipeline.workers) {
        let log = service.log();
        for (sample, ..) in &uploads {
            assert!(!log.contains(&sample.name), "{} in a log", sample.name);
        }
    }
    let settings = pipeline.store.settings();
    // Originals are deleted after the result.
    let deadline = tokio::time::Instant::now() + TIME_LIMIT;
    loop {
        let remaining = pipeline.keys(&settings.input_bucket).await.unwrap();
        if remaining.is_empty() {
            break;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "originals are left: {remaining:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        pipeline.keys(&settings.output_bucket).await.unwrap().len(),
        uploads.len()
    );
}

/// Requires that a JPEG contains only JFIF, ICC profile, tables and pixels.
fn assert_no_metadata(jpeg: &[u8]) {
    assert!(jpeg.ends_with(&[0xff, 0xd9]), "data after the end of the picture");
    let mut offset = 2;
    while jpeg[offset + 1] != 0xda {
        let (marker, length) = (
            jpeg[offset + 1],
            usize::from(u16::from_be_bytes([jpeg[offset + 2], jpeg[offset + 3]])),
        );
        let application = (0xe0..=0xef).contains(&marker);
        assert!(
            !application || matches!(marker, 0xe0 | 0xe2 | 0xee),
            "a segment APP{}",
            marker - 0xe0
        );
        assert_ne!(marker, 0xfe, "a comment");
        offset += 2 + length;
    }
}

/// Requires the upload's trace id in the log lines of irmgard, the worker and PostgreSQL, including COMMIT.
async fn assert_traced(pipeline: &Pipeline, id: i64, trace_id: &str) {
    let count_lines = |lines: &[Value]| {
        lines
            .iter()
            .filter(|line| line["photo"]["id"] == id && line["trace_id"] == trace_id)
            .count()
    };
    assert!(
        count_lines(&pipeline.irmgards[0].log_lines()) > 0,
        "irmgard has no lines for photo {id}"
    );
    assert!(
        count_lines(&pipeline.workers[0].log_lines()) > 0,
        "the worker has no lines for photo {id}"
    );
    let other_trace = pipeline.workers[0]
        .log_lines()
        .iter()
        .filter(|line| line["photo"]["id"] == id && line["trace_id"] != trace_id)
        .count();
    assert_eq!(
        other_trace, 0,
        "the worker has lines for photo {id} with another trace"
    );

    let Some(log) = pipeline.servers.postgres_log() else {
        return;
    };
    let name = format!("irmgard {trace_id}");
    let deadline = tokio::time::Instant::now() + TIME_LIMIT;
    loop {
        let text = fs::read_to_string(&log).expect("cannot read PostgreSQL's log");
        let statements: Vec<String> = text
            .lines()
            .filter(|line| line.contains(&name))
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|line| line["application_name"] == name.as_str())
            .filter_map(|line| line["message"].as_str().map(str::to_lowercase))
            .collect();
        let has = |word: &str| statements.iter().any(|statement| statement.contains(word));
        if has("insert into photo") && has("commit") {
            break;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "missing lines of PostgreSQL for photo {id} with {name}: {statements:?}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
