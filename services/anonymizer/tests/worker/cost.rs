//! Photos that cost much.

#![cfg(feature = "failpoints")]

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use contract::Outcome;

use crate::harness::{PATIENCE, Site, astronaut};

/// A JPEG of one colour.
pub(crate) fn plain(width: usize, height: usize) -> Vec<u8> {
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

/// The only thread for photos of usual size is not taken by a larger one.
#[tokio::test(flavor = "multi_thread")]
async fn large_photo_holds_no_other_up() {
    let mut site = Site::with(|environment| {
        let slow = "anonymizer::while-anonymizing-large=sleep(600000)";
        environment.insert("FAILPOINTS".into(), slow.into());
        environment.insert("MEMORY_LIMIT".into(), "640MiB".into());
        environment.insert("CONCURRENCY".into(), "3".into());
        environment.insert("PHOTO_TIME_LIMIT".into(), "350s".into());
    })
    .await;
    site.start().await;
    let large = site.post(1, plain(6000, 5000)).await;
    site.until("the large photo is in work", async || {
        site.metric("anonymizer_jobs_in_flight").await == Some(1.0)
    })
    .await;
    for id in 2..5 {
        let photo = site.post(id, astronaut()).await;
        let result = site.result().await;
        assert_eq!(result.id, photo.id);
        assert!(matches!(result.outcome, Outcome::Anonymized { .. }), "{result:?}");
    }
    assert!(site.is_there(&large.original).await);
    site.worker.kill().unwrap();
}

/// Large photos that wait for their turn leave their places to others, come back
/// at an easy pace, and none of them gets lost.
#[tokio::test(flavor = "multi_thread")]
async fn large_photos_that_wait_hold_no_other_up() {
    const PLACES: usize = 3;
    let mut site = Site::with(|environment| {
        let slow = "anonymizer::while-anonymizing-large=sleep(600000)";
        environment.insert("FAILPOINTS".into(), slow.into());
        environment.insert("CONCURRENCY".into(), PLACES.to_string());
        environment.insert("PHOTO_TIME_LIMIT".into(), "350s".into());
        environment.insert("SHUTDOWN_GRACE".into(), "200ms".into());
    })
    .await;
    let mut large = Vec::new();
    // One in work, one that waits, two that leave the last place in turn.
    for id in (1..).take(PLACES + 1) {
        large.push(site.post(id, plain(6000, 5000)).await);
    }
    let began = Instant::now();
    site.start().await;
    let small = site.post(10, astronaut()).await;
    assert_eq!(site.result().await.id, small.id);
    let returns = || site.worker.log().matches("published the message again").count();
    site.until("two large photos came back twice each", async || returns() >= 4)
        .await;
    assert!(began.elapsed() > Duration::from_secs(9), "{:?}", began.elapsed());
    let lines = site.worker.log_lines();
    let again = lines
        .iter()
        .filter(|line| line["message"] == "published the message again");
    let returned: BTreeSet<i64> = again.map(|line| line["photo"]["id"].as_i64().unwrap()).collect();
    assert_eq!(returned.len(), 2, "one waits in its place: {returned:?}");

    site.worker.terminate();
    site.worker.ended(PATIENCE).await.unwrap();
    site.worker.unset("FAILPOINTS");
    site.start().await;
    for _ in &large {
        let result = site.result().await;
        assert!(matches!(result.outcome, Outcome::Anonymized { .. }), "{result:?}");
    }
    site.no_result().await;
    for photo in &large {
        site.assert_anonymized(photo).await;
    }
}

/// 100 megapixels in 34 bytes.
#[tokio::test(flavor = "multi_thread")]
async fn bomb_of_one_colour_comes_out() {
    let mut site = Site::new().await;
    site.start().await;
    let bomb = include_bytes!("../../imaging/tests/photos/w-bomb.webp");
    let photo = site.post(1, bomb.to_vec()).await;
    let result = site.result().await;
    assert!(
        matches!(
            result.outcome,
            Outcome::Anonymized {
                width: 16_383,
                height: 6100,
                ..
            }
        ),
        "{result:?}"
    );
    site.drained().await;
    site.assert_anonymized(&photo).await;
}

/// As many pixels as are accepted, in the memory of the manifests: with room for
/// another photo it is worked on, else it is refused.
#[tokio::test(flavor = "multi_thread")]
async fn large_photo_leaves_memory_for_another() {
    let mut site = Site::with(|environment| {
        let slow = "anonymizer::while-anonymizing-large=sleep(600000)";
        environment.insert("FAILPOINTS".into(), slow.into());
        environment.insert("MEMORY_LIMIT".into(), "1GiB".into());
        environment.insert("CONCURRENCY".into(), "3".into());
        environment.insert("PHOTO_TIME_LIMIT".into(), "350s".into());
    })
    .await;
    site.start().await;
    // A WebP takes twice as much as a JPEG.
    let bomb = include_bytes!("../../imaging/tests/photos/w-bomb.webp");
    let refused = site.post(1, bomb.to_vec()).await;
    let result = site.result().await;
    assert_eq!(result.id, refused.id);
    let Outcome::Failed { reason, detail } = result.outcome else {
        panic!("{:?}", result.outcome);
    };
    assert_eq!(reason.code(), "too-large");
    assert!(
        detail.starts_with("99936300 pixels: MEMORY_LIMIT leaves room for 57"),
        "{detail}"
    );
    assert_eq!(site.read(&refused.original).await.unwrap(), bomb);

    let in_flight = async |count| site.metric("anonymizer_jobs_in_flight").await == Some(count);
    site.until("the refused photo is settled", async || in_flight(0.0).await)
        .await;
    site.post(2, plain(10_000, 10_000)).await;
    site.until("the large photo is in work", async || in_flight(1.0).await)
        .await;
    let small = site.post(3, astronaut()).await;
    assert_eq!(site.result().await.id, small.id);
    site.worker.kill().unwrap();
}

/// A photo that takes too long is stopped, and the worker goes on.
#[tokio::test(flavor = "multi_thread")]
async fn photo_that_takes_too_long_ends_no_worker() {
    let mut site = Site::with(|environment| {
        let slow = "anonymizer::while-anonymizing=sleep(11000)";
        environment.insert("FAILPOINTS".into(), slow.into());
        environment.insert("PHOTO_TIME_LIMIT".into(), "10s".into());
    })
    .await;
    site.start().await;
    let photo = site.post(1, astronaut()).await;
    assert_eq!(site.failure(photo.id).await, "process-crashed");
    assert!(site.worker.alive());
    assert!(site.is_there(&photo.original).await);
    assert!(!site.is_there(&photo.output).await);
}
