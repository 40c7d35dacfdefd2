//! Photos that need much memory or time.

#![cfg(feature = "failpoints")]

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use contract::Verdict;

use crate::harness::{Harness, TIMEOUT, astronaut};

/// A JPEG of one colour.
pub(crate) fn plain_jpeg(width: usize, height: usize) -> Vec<u8> {
    let image = turbojpeg::Image {
        pixels: vec![99; width * height],
        width,
        pitch: width,
        height,
        format: turbojpeg::PixelFormat::GRAY,
    };
    turbojpeg::compress(image.as_deref(), 90, turbojpeg::Subsamp::Gray)
        .unwrap()
        .to_vec()
}

/// A large photo does not occupy the only thread for photos of usual size.
#[tokio::test(flavor = "multi_thread")]
async fn large_photo_delays_no_other_photo() {
    let mut harness = Harness::with_environment(|environment| {
        let slow = "anonymizer::while-anonymizing-large=sleep(600000)";
        environment.insert("FAILPOINTS".into(), slow.into());
        environment.insert("MEMORY_LIMIT".into(), "640MiB".into());
        environment.insert("CONCURRENCY".into(), "3".into());
        environment.insert("PHOTO_TIME_LIMIT".into(), "350s".into());
    })
    .await;
    harness.start_worker().await;
    let large = harness.submit(1, plain_jpeg(6000, 5000)).await;
    harness
        .wait_until("the large photo is in work", async || {
            harness.metric("anonymizer_jobs_in_flight").await == Some(1.0)
        })
        .await;
    for id in 2..5 {
        let photo = harness.submit(id, astronaut()).await;
        let result = harness.next_result().await;
        assert_eq!(result.id, photo.id);
        assert!(matches!(result.verdict, Verdict::Anonymized { .. }), "{result:?}");
    }
    assert!(harness.object_exists(&large.original).await);
    harness.worker.kill().unwrap();
}

/// Large photos that wait for their permit leave their slots to other photos. They return
/// at a slow pace, and none of them is lost.
#[tokio::test(flavor = "multi_thread")]
async fn waiting_large_photos_delay_no_other_photo() {
    const SLOTS: usize = 3;
    let mut harness = Harness::with_environment(|environment| {
        let slow = "anonymizer::while-anonymizing-large=sleep(600000)";
        environment.insert("FAILPOINTS".into(), slow.into());
        environment.insert("CONCURRENCY".into(), SLOTS.to_string());
        environment.insert("PHOTO_TIME_LIMIT".into(), "350s".into());
        environment.insert("SHUTDOWN_GRACE".into(), "200ms".into());
    })
    .await;
    let mut large = Vec::new();
    // One photo is in work, one waits, and two take turns in the last slot.
    for id in (1..).take(SLOTS + 1) {
        large.push(harness.submit(id, plain_jpeg(6000, 5000)).await);
    }
    let began = Instant::now();
    harness.start_worker().await;
    let small = harness.submit(10, astronaut()).await;
    assert_eq!(harness.next_result().await.id, small.id);
    let returns = || {
        harness
            .worker
            .log()
            .matches("published the message again")
            .count()
    };
    harness
        .wait_until("two large photos are returned twice each", async || {
            returns() >= 4
        })
        .await;
    assert!(began.elapsed() > Duration::from_secs(9), "{:?}", began.elapsed());
    let lines = harness.worker.log_lines();
    let republished = lines
        .iter()
        .filter(|line| line["message"] == "published the message again");
    let returned: BTreeSet<i64> = republished
        .map(|line| line["photo"]["id"].as_i64().unwrap())
        .collect();
    assert_eq!(returned.len(), 2, "one photo waits in its slot: {returned:?}");

    harness.worker.terminate();
    harness.worker.ended(TIMEOUT).await.unwrap();
    harness.worker.unset("FAILPOINTS");
    harness.start_worker().await;
    for _ in &large {
        let result = harness.next_result().await;
        assert!(matches!(result.verdict, Verdict::Anonymized { .. }), "{result:?}");
    }
    harness.assert_no_result().await;
    for photo in &large {
        harness.assert_anonymized(photo).await;
    }
}

/// A decompression bomb: 100 megapixels in 34 bytes.
#[tokio::test(flavor = "multi_thread")]
async fn bomb_of_one_colour_is_anonymised() {
    let harness = Harness::started().await;
    let bomb = include_bytes!("../../imaging/tests/photos/w-bomb.webp");
    let photo = harness.submit(1, bomb.to_vec()).await;
    let result = harness.next_result().await;
    assert!(
        matches!(
            result.verdict,
            Verdict::Anonymized {
                width: 16_383,
                height: 6100,
                ..
            }
        ),
        "{result:?}"
    );
    harness.wait_until_drained().await;
    harness.assert_anonymized(&photo).await;
}

/// The maximum number of pixels in the memory that the manifests set. The photo is
/// processed if it leaves room for another one, and refused otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn large_photo_leaves_memory_for_another() {
    let mut harness = Harness::with_environment(|environment| {
        let slow = "anonymizer::while-anonymizing-large=sleep(600000)";
        environment.insert("FAILPOINTS".into(), slow.into());
        environment.insert("MEMORY_LIMIT".into(), "1GiB".into());
        environment.insert("CONCURRENCY".into(), "3".into());
        environment.insert("PHOTO_TIME_LIMIT".into(), "350s".into());
    })
    .await;
    harness.start_worker().await;
    // A WebP needs twice as much memory as a JPEG.
    let bomb = include_bytes!("../../imaging/tests/photos/w-bomb.webp");
    let refused = harness.submit(1, bomb.to_vec()).await;
    let result = harness.next_result().await;
    assert_eq!(result.id, refused.id);
    let Verdict::Failed { reason, detail } = result.verdict else {
        panic!("{:?}", result.verdict);
    };
    assert_eq!(reason.code(), "too-large");
    assert!(
        detail.starts_with("99936300 pixels: MEMORY_LIMIT leaves room for 57"),
        "{detail}"
    );
    assert_eq!(harness.read_object(&refused.original).await.unwrap(), bomb);

    let in_flight = async |count| harness.metric("anonymizer_jobs_in_flight").await == Some(count);
    harness
        .wait_until("the refused photo is settled", async || in_flight(0.0).await)
        .await;
    harness.submit(2, plain_jpeg(10_000, 10_000)).await;
    harness
        .wait_until("the large photo is in work", async || in_flight(1.0).await)
        .await;
    let small = harness.submit(3, astronaut()).await;
    assert_eq!(harness.next_result().await.id, small.id);
    harness.worker.kill().unwrap();
}

/// A photo that takes too long is stopped, and the worker continues.
#[tokio::test(flavor = "multi_thread")]
async fn photo_that_takes_too_long_does_not_stop_the_worker() {
    let mut harness = Harness::with_environment(|environment| {
        let slow = "anonymizer::while-anonymizing=sleep(11000)";
        environment.insert("FAILPOINTS".into(), slow.into());
        environment.insert("PHOTO_TIME_LIMIT".into(), "10s".into());
    })
    .await;
    harness.start_worker().await;
    let photo = harness.submit(1, astronaut()).await;
    assert_eq!(harness.next_failure(photo.id).await, "process-crashed");
    assert!(harness.worker.alive());
    assert!(harness.object_exists(&photo.original).await);
    assert!(!harness.object_exists(&photo.output).await);
}
