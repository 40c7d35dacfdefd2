//! Refused uploads leave nothing behind.

use std::time::Duration;

use contract::media::MAX_SIDE;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::sleep};

use super::{
    fixture::{Answer, WebFixture, eventually, raw_upload_head, read_answer},
    test_images::{jpeg, png},
};

const PHOTOS: &str = "/projects/site-1/photos";

#[tokio::test]
async fn more_bytes_than_allowed_are_413_however_they_are_sent() {
    let web = WebFixture::start_with(|overrides| {
        overrides.settings.upload.max_bytes = 12_000_000;
    })
    .await;
    let large = jpeg(4000, 3000, 12_000_001, 1);
    web.post(PHOTOS, large.clone())
        .await
        .expect_problem(413, "too-large");
    web.post_chunked(PHOTOS, large.clone())
        .await
        .expect_problem(413, "too-large");
    web.post_form(PHOTOS, large, "a.jpg")
        .await
        .expect_problem(413, "too-large");
    web.expect_nothing_left().await;
    let largest = jpeg(4000, 3000, 12_000_000, 1);
    for answer in [
        web.post(PHOTOS, largest.clone()).await,
        web.post_form(PHOTOS, largest, "a.jpg").await,
    ] {
        assert_eq!(answer.status, 202);
    }
}

#[tokio::test]
async fn a_length_beyond_the_limit_is_refused_before_the_body_is_requested() {
    let web = WebFixture::start().await;
    let head = raw_upload_head(PHOTOS, "Expect: 100-continue\r\nContent-Length: 999999999\r\n");
    web.raw(&head).await.expect_problem(413, "too-large");
}

#[tokio::test]
async fn pixels_are_counted_from_the_header() {
    let web = WebFixture::start().await;
    web.post(PHOTOS, png(10_001, 10_000))
        .await
        .expect_problem(422, "too-many-pixels");
    web.post(PHOTOS, png(65_535, 65_535))
        .await
        .expect_problem(422, "too-many-pixels");
    web.expect_nothing_left().await;
    assert_eq!(web.post(PHOTOS, png(10_000, 10_000)).await.status, 202);
}

/// The anonymised photo is a JPEG, which cannot have a longer side.
#[tokio::test]
async fn a_side_that_no_jpeg_can_have_is_refused() {
    let web = WebFixture::start().await;
    for (width, height) in [(MAX_SIDE + 1, 10), (10, MAX_SIDE + 1), (100_000_000, 1)] {
        let answer = web.post(PHOTOS, png(width, height)).await;
        answer.expect_problem(422, "too-many-pixels");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("65500"), "{detail}");
    }
    web.expect_nothing_left().await;
    assert_eq!(web.post(PHOTOS, png(MAX_SIDE, 10)).await.status, 202);
}

#[tokio::test]
async fn what_is_no_photo_is_refused() {
    let web = WebFixture::start().await;
    let cut = jpeg(64, 48, 900, 1)[..10].to_vec();
    let zeros = [b"\xFF\xD8\xFF\xC0\x00\x11\x08".as_slice(), &[0; 500]].concat();
    // Markers without a size.
    let endless = [
        b"\xFF\xD8".to_vec(),
        b"\xFF\xE2\x40\x00"
            .iter()
            .copied()
            .chain([0; 0x3FFE])
            .collect::<Vec<_>>()
            .repeat(200),
    ]
    .concat();
    for (photo, status, code) in [
        (Vec::new(), 422, "damaged-image"),
        (vec![0xFF], 422, "damaged-image"),
        (cut, 422, "damaged-image"),
        (zeros, 422, "damaged-image"),
        (endless, 422, "damaged-image"),
        (
            b"GIF89a plus enough of the rest".to_vec(),
            415,
            "unsupported-format",
        ),
        (
            b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(),
            415,
            "unsupported-format",
        ),
        (vec![0; 3_000_000], 415, "unsupported-format"),
    ] {
        web.post(PHOTOS, photo.clone()).await.expect_problem(status, code);
        web.post_chunked(PHOTOS, photo.clone())
            .await
            .expect_problem(status, code);
        web.post_form(PHOTOS, photo, "a.jpg")
            .await
            .expect_problem(status, code);
    }
    web.expect_nothing_left().await;
}

#[tokio::test]
async fn a_form_has_one_image_and_a_readable_time() {
    let web = WebFixture::start().await;
    let part = || reqwest::multipart::Part::bytes(jpeg(64, 48, 900, 1)).file_name("a.jpg");
    let form = reqwest::multipart::Form::new;
    web.post_fields(PHOTOS, form().part("image", part()).part("image", part()))
        .await
        .expect_problem(400, "several-images");
    web.post_fields(PHOTOS, form().part("image", part()).text("taken_at", "noon"))
        .await
        .expect_problem(400, "invalid-taken-at");
    web.post_fields(PHOTOS, form().text("taken_at", "noon").part("image", part()))
        .await
        .expect_problem(400, "invalid-taken-at");
    web.expect_nothing_left().await;
    // Unknown fields are skipped.
    let noted = form()
        .text("camera", "7")
        .part("image", part())
        .text("note", "x".repeat(1_000_000));
    assert_eq!(web.post_fields(PHOTOS, noted).await.status, 202);
}

#[tokio::test]
async fn queries_that_cannot_be_read_are_refused() {
    let web = WebFixture::start().await;
    for bad in ["noon", "9999-12-31T23:59:59-00:01", "0001-01-01T00:00:00%2B00:01"] {
        web.post(&format!("{PHOTOS}?taken_at={bad}"), jpeg(64, 48, 900, 1))
            .await
            .expect_problem(400, "invalid-taken-at");
    }
    for query in [
        "limit=0",
        "limit=501",
        "limit=x",
        "after=x",
        "status=lost",
        "limit=1&limit=2",
    ] {
        web.get(&format!("{PHOTOS}?{query}"))
            .await
            .expect_problem(400, "invalid-query");
    }
    for query in ["after=%00", "after=a%00b", "after=%ff", "after=a%2fb", "limit=0"] {
        web.get(&format!("/projects?{query}"))
            .await
            .expect_problem(400, "invalid-query");
    }
    web.expect_nothing_left().await;
}

/// PostgreSQL's `text` cannot hold NUL, so it is refused or removed in every client input.
#[tokio::test]
async fn nul_is_refused_or_removed_everywhere() {
    let web = WebFixture::start().await;
    for path in [
        "/projects?after=a%00",
        "/projects/a%00/photos",
        "/projects/a/photos?status=queued%00",
        "/projects/a/photos?after=1%00",
    ] {
        assert_eq!(web.get(path).await.status, 400, "{path}");
    }
    assert_eq!(web.get("/photos/1%00").await.status, 404);
    web.post(
        &format!("{PHOTOS}?taken_at=2024-01-01T00:00:00Z%00"),
        jpeg(64, 48, 900, 1),
    )
    .await
    .expect_problem(400, "invalid-taken-at");
    web.expect_nothing_left().await;
    let named = web
        .post(&format!("{PHOTOS}?name=a%00b.jpg"), jpeg(64, 48, 900, 1))
        .await;
    assert_eq!((named.status, &named.json()["name"]), (202, &"ab.jpg".into()));
}

/// Starts an upload of unknown length that takes the whole budget and sends nothing after its first chunk.
async fn start_upload_that_takes_all_memory(web: &WebFixture, photo: &[u8]) -> TcpStream {
    let mut blocker = web.connect().await;
    blocker
        .write_all(&raw_upload_head(PHOTOS, "Transfer-Encoding: chunked\r\n"))
        .await
        .unwrap();
    blocker.write_all(b"7000\r\n").await.unwrap();
    blocker.write_all(&photo[..0x7000]).await.unwrap();
    blocker.write_all(b"\r\n").await.unwrap();
    eventually("the first upload has the memory", async || {
        web.metrics().contains("irmgard_upload_memory_free_bytes 0\n")
    })
    .await;
    blocker
}

#[tokio::test]
async fn bodies_of_unknown_length_wait_for_memory_and_then_are_503() {
    let web = WebFixture::start_with(|overrides| {
        let upload = &mut overrides.settings.upload;
        upload.memory_bytes = upload.part_bytes;
        upload.memory_wait = Duration::from_millis(300);
    })
    .await;
    let photo = jpeg(64, 48, 30_000, 1);
    let mut blocker = start_upload_that_takes_all_memory(&web, &photo).await;

    let busy = web.post_chunked(PHOTOS, photo.clone()).await;
    busy.expect_problem(503, "busy");
    assert!(busy.header("retry-after").is_some());
    // An upload of known length needs none of it.
    assert_eq!(web.post(PHOTOS, photo.clone()).await.status, 202);

    // Another upload waits and proceeds when the first one is done.
    let (waiting, ended) = tokio::join!(web.post_chunked(PHOTOS, photo.clone()), async {
        blocker.write_all(b"0\r\n\r\n").await.unwrap();
        read_answer(&mut blocker).await.unwrap()
    });
    assert_eq!((waiting.status, ended.status), (202, 202));
}

#[tokio::test]
async fn photos_with_a_late_size_are_accepted() {
    let web = WebFixture::start().await;
    // 600 KB of ICC profiles and thumbnails before the size.
    let segment: Vec<u8> = b"\xFF\xE2\xF0\x00".iter().copied().chain([0; 0xEFFE]).collect();
    let photo = jpeg(640, 480, 300_000, 1);
    let photo = [&photo[..2], &segment.repeat(10), &photo[2..]].concat();
    let answers = futures::future::join_all((0..40).map(|i| {
        let (web, photo) = (&web, photo.clone());
        async move {
            match i % 3 {
                0 => web.post(PHOTOS, photo).await,
                1 => web.post_chunked(PHOTOS, photo).await,
                _ => web.post_form(PHOTOS, photo, "a.jpg").await,
            }
        }
    }))
    .await;
    for answer in answers {
        assert_eq!(
            (answer.status, &answer.json()["size_bytes"]),
            (202, &photo.len().into())
        );
    }
}

/// Sends `piece` repeatedly, much more often than the idle timeout requires, until a response arrives.
async fn trickle(camera: &mut TcpStream, piece: &[u8]) -> Answer {
    let (mut input, mut output) = camera.split();
    let sending = async {
        while output.write_all(piece).await.is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = read_answer(&mut input) => answer.unwrap(),
        () = sending => unreachable!(),
    }
}

#[tokio::test]
async fn a_trickling_camera_is_answered_408_and_frees_its_memory() {
    let web = WebFixture::start_with(|overrides| {
        let upload = &mut overrides.settings.upload;
        upload.memory_bytes = upload.part_bytes;
        upload.idle_timeout = Duration::from_millis(500);
    })
    .await;
    let photo = jpeg(64, 48, 30_000, 1);
    let mut blocker = start_upload_that_takes_all_memory(&web, &photo).await;
    let (waiting, trickled) = tokio::join!(
        web.post_chunked(PHOTOS, photo.clone()),
        trickle(&mut blocker, b"1\r\nx\r\n")
    );
    trickled.expect_problem(408, "upload-too-slow");
    assert_eq!(waiting.status, 202);
    web.wait_for_originals(1).await;
}

#[tokio::test]
async fn a_trickling_camera_is_answered_408_however_it_sends() {
    let web = WebFixture::start_with(|overrides| {
        overrides.settings.upload.idle_timeout = Duration::from_millis(500);
    })
    .await;
    let photo = jpeg(64, 48, 30_000, 1);
    let form = b"--b\r\nContent-Disposition: form-data; name=image\r\n\r\n";
    for (headers, body) in [
        ("Content-Length: 60000\r\n", photo.clone()),
        // Not enough bytes to recognise a photo.
        ("Content-Length: 60000\r\n", photo[..2].to_vec()),
        (
            "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 60000\r\n",
            [form.to_vec(), photo.clone()].concat(),
        ),
    ] {
        let mut camera = web.connect().await;
        camera.write_all(&raw_upload_head(PHOTOS, headers)).await.unwrap();
        camera.write_all(&body).await.unwrap();
        trickle(&mut camera, b"\xFF")
            .await
            .expect_problem(408, "upload-too-slow");
    }
    web.expect_nothing_left().await;
}

#[tokio::test]
async fn a_slow_camera_above_the_minimum_rate_is_accepted() {
    let web = WebFixture::start_with(|overrides| {
        let upload = &mut overrides.settings.upload;
        upload.idle_timeout = Duration::from_secs(1);
        upload.min_bytes_per_second = 10_000;
    })
    .await;
    // 60 KB in 3 s: slow, but above the minimum rate.
    let photo = jpeg(64, 48, 60_000, 1);
    let mut camera = web.connect().await;
    camera
        .write_all(&raw_upload_head(PHOTOS, "Content-Length: 60000\r\n"))
        .await
        .unwrap();
    for piece in photo.chunks(4_000) {
        camera.write_all(piece).await.unwrap();
        sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(read_answer(&mut camera).await.unwrap().status, 202);
}
