//! Every sample photo, undisturbed.

use std::{fs, time::Duration};

use contract::Detection;
use e2e::{
    photos::samples,
    picture::Picture,
    pipeline::{PATIENCE, Pipeline, Setup},
};
use reqwest::multipart::{Form, Part};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_comes_out_anonymised_under_one_trace() {
    let pipeline = Pipeline::start(Setup::default()).await.unwrap();
    let camera = pipeline.camera();
    let base = camera.address();
    let mut posted = Vec::new();
    for (number, sample) in samples().unwrap().into_iter().enumerate() {
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
            posted.push((sample.clone(), location, photo["id"].as_i64().unwrap(), trace_id));
        }
    }
    pipeline.settled(PATIENCE).await.unwrap();

    for (sample, location, id, trace_id) in &posted {
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
        assert!(!detections.is_empty(), "nothing was found in {}", sample.name);

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
        let seen = after.unobscured(&before, &detections);
        assert!(seen.is_empty(), "still to be seen in {}: {seen:?}", sample.name);

        assert_traced(&pipeline, *id, trace_id).await;
    }
    // A file's name may be a person's.
    for service in pipeline.irmgards.iter().chain(&pipeline.workers) {
        let log = service.log();
        for (sample, ..) in &posted {
            assert!(!log.contains(&sample.name), "{} in a log", sample.name);
        }
    }
    let settings = pipeline.store.settings();
    // An original goes after the verdict has been told.
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let left = pipeline.keys(&settings.input_bucket).await.unwrap();
        if left.is_empty() {
            break;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "originals are left: {left:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        pipeline.keys(&settings.output_bucket).await.unwrap().len(),
        posted.len()
    );
}

/// Only what is needed to show the picture: JFIF, ICC profile, tables, pixels.
fn assert_no_metadata(jpeg: &[u8]) {
    assert!(
        jpeg.ends_with(&[0xff, 0xd9]),
        "nothing after the end of the picture"
    );
    let mut at = 2;
    while jpeg[at + 1] != 0xda {
        let (marker, length) = (
            jpeg[at + 1],
            usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]])),
        );
        let application = (0xe0..=0xef).contains(&marker);
        assert!(
            !application || matches!(marker, 0xe0 | 0xe2 | 0xee),
            "a segment APP{}",
            marker - 0xe0
        );
        assert_ne!(marker, 0xfe, "a comment");
        at += 2 + length;
    }
}

/// The trace of the POST is in the log lines of irmgard, of the worker, and
/// of PostgreSQL, COMMIT among them.
async fn assert_traced(pipeline: &Pipeline, id: i64, trace_id: &str) {
    let of_photo = |lines: &[Value]| {
        lines
            .iter()
            .filter(|line| line["photo"]["id"] == id && line["trace_id"] == trace_id)
            .count()
    };
    assert!(
        of_photo(&pipeline.irmgards[0].log_lines()) > 0,
        "irmgard's lines of photo {id}"
    );
    assert!(
        of_photo(&pipeline.workers[0].log_lines()) > 0,
        "the worker's lines of photo {id}"
    );
    let strange = pipeline.workers[0]
        .log_lines()
        .iter()
        .filter(|line| line["photo"]["id"] == id && line["trace_id"] != trace_id)
        .count();
    assert_eq!(strange, 0, "the worker's lines of photo {id} under another trace");

    let Some(log) = pipeline.place.postgres_log() else {
        return;
    };
    let name = format!("irmgard {trace_id}");
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let text = fs::read_to_string(&log).expect("PostgreSQL's log");
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
            "PostgreSQL's lines of photo {id} under {name}: {statements:?}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
