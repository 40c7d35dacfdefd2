//! Clients that break the protocol, over raw sockets.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

use super::{
    fixture::{WebFixture, eventually, raw_upload_head, read_answer},
    test_images::jpeg,
};

const PHOTOS: &str = "/projects/site-1/photos";

fn form(body: &[u8]) -> Vec<u8> {
    let head = raw_upload_head(
        PHOTOS,
        &format!(
            "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n",
            body.len()
        ),
    );
    [head, body.to_vec()].concat()
}

fn image_field(disposition: &str, photo: &[u8]) -> Vec<u8> {
    let head = format!("--b\r\nContent-Disposition: {disposition}\r\n\r\n");
    [head.as_bytes(), photo, b"\r\n--b--\r\n"].concat()
}

#[tokio::test]
async fn a_project_name_cannot_leave_its_folder() {
    let web = WebFixture::start().await;
    let photo = jpeg(64, 48, 900, 1);
    let length = format!("Content-Length: {}\r\n", photo.len());
    for project in [
        "..%2f..%2fetc",
        "%2e%2e",
        "..",
        ".",
        "a%00b",
        "a%2fb",
        "%ff%fe",
        "%20",
        "a%0d%0aX:y",
        "-x",
        &"x".repeat(65),
    ] {
        let path = format!("/projects/{project}/photos");
        let answer = web
            .raw(&[raw_upload_head(&path, &length), photo.clone()].concat())
            .await;
        answer.expect_problem(400, "invalid-project");
        let list = web
            .raw(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
            .await;
        list.expect_problem(400, "invalid-project");
    }
    for path in [
        "/../../etc/passwd",
        "/projects//photos",
        "/projects/a/b/photos",
        "/photos/../../x/image",
        "//",
    ] {
        let answer = web
            .raw(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
            .await;
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.status);
    }
    web.expect_nothing_left().await;
}

#[tokio::test]
async fn a_file_name_is_only_a_name() {
    let web = WebFixture::start().await;
    for (seed, (file_name, kept)) in [
        ("../../../etc/passwd", Some("passwd")),
        (r"..\..\boot.ini", Some("boot.ini")),
        ("/", None),
        ("..", None),
        ("", None),
        ("ü ñ 照片.jpg", Some("ü ñ 照片.jpg")),
        ("'; DROP TABLE photo; --", Some("'; DROP TABLE photo; --")),
    ]
    .into_iter()
    .enumerate()
    {
        let disposition = format!("form-data; name=\"image\"; filename=\"{file_name}\"");
        let answer = web
            .raw(&form(&image_field(&disposition, &jpeg(64, 48, 900, seed as u8))))
            .await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        let photo = answer.json();
        let id = photo["id"].to_string();
        assert_eq!(
            photo["name"],
            kept.map_or(format!("{id}.jpg"), str::to_owned),
            "{file_name}"
        );
        let key = format!("/{id}.jpg");
        assert!(photo["storage_location"].as_str().unwrap().ends_with(&key));
    }
    // A file name cannot hold bytes that a header must not hold.
    let disposition = "form-data; name=\"image\"; filename=\"a\u{1b}[2J\u{7}.jpg\"";
    let answer = web
        .raw(&form(&image_field(disposition, &jpeg(64, 48, 900, 99))))
        .await;
    answer.expect_problem(400, "malformed-form");
    // The query string can hold them; they are removed.
    let named = web
        .post(
            &format!("{PHOTOS}?name=..%2Fa%1B%5B2J%00%07.jpg"),
            jpeg(64, 48, 900, 98),
        )
        .await;
    assert_eq!(named.json()["name"], "a[2J.jpg");
}

#[tokio::test]
async fn ten_thousand_headers_are_answered_431() {
    let web = WebFixture::start().await;
    let many: String = (0..10_000).map(|i| format!("X-{i}: y\r\n")).collect();
    assert_eq!(web.raw(&raw_upload_head(PHOTOS, &many)).await.status, 431);
    let some: String = (0..500).map(|i| format!("X-{i}: y\r\n")).collect();
    assert_eq!(web.raw(&raw_upload_head(PHOTOS, &some)).await.status, 431);
    let long = format!("X-Long: {}\r\n", "y".repeat(100_000));
    assert_eq!(web.raw(&raw_upload_head(PHOTOS, &long)).await.status, 431);
    assert_eq!(web.get("/projects").await.status, 200);
}

#[tokio::test]
async fn malformed_http_is_answered_400() {
    let web = WebFixture::start().await;
    for request in [
        "GET / HTTP/9.9\r\n\r\n",
        "nonsense\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    ] {
        assert_eq!(web.raw(request.as_bytes()).await.status, 400, "{request:?}");
    }
    web.expect_nothing_left().await;
}

#[tokio::test]
async fn endless_headers_end_the_connection() {
    let web =
        WebFixture::start_with(|overrides| overrides.limits.header_timeout = Duration::from_millis(400))
            .await;
    let mut slow = web.connect().await;
    slow.write_all(b"POST / HTTP/1.1\r\n").await.unwrap();
    let began = Instant::now();
    let mut end = [0; 1024];
    loop {
        let _ = slow.write_all(b"X: y\r\n").await;
        match tokio::time::timeout(Duration::from_millis(50), slow.read(&mut end)).await {
            Ok(Ok(0) | Err(_)) => break,
            _ => assert!(began.elapsed() < Duration::from_secs(10), "still open"),
        }
    }
}

#[tokio::test]
async fn a_camera_that_disconnects_leaves_nothing() {
    let web = WebFixture::start().await;
    let photo = jpeg(4000, 3000, 9_000_000, 1);
    for (headers, body) in [
        ("Content-Length: 10000000\r\n".to_owned(), photo.clone()),
        ("Content-Length: 10000000\r\n".to_owned(), photo[..500].to_vec()),
        (
            "Transfer-Encoding: chunked\r\n".to_owned(),
            [format!("{:x}\r\n", photo.len()).into_bytes(), photo.clone()].concat(),
        ),
        (
            format!(
                "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n",
                photo.len() + 500
            ),
            [
                b"--b\r\nContent-Disposition: form-data; name=image\r\n\r\n".to_vec(),
                photo.clone(),
            ]
            .concat(),
        ),
    ] {
        let mut camera = web.connect().await;
        camera
            .write_all(&raw_upload_head(PHOTOS, &headers))
            .await
            .unwrap();
        camera.write_all(&body).await.unwrap();
        drop(camera);
    }
    eventually("all four requests have ended", async || {
        let ended = web.metrics();
        ended
            .lines()
            .filter(|line| line.starts_with("irmgard_http_requests_total"))
            .any(|line| line.ends_with(" 4"))
    })
    .await;
    web.expect_nothing_left().await;
    assert!(
        !web.metrics()
            .contains(r#"irmgard_breaker_open{server="object-store"} 1"#)
    );
}

#[tokio::test]
async fn a_body_shorter_than_its_length_is_answered_400() {
    let web = WebFixture::start().await;
    let photo = jpeg(4000, 3000, 500_000, 1);
    let mut camera = web.connect().await;
    camera
        .write_all(&raw_upload_head(PHOTOS, "Content-Length: 600000\r\n"))
        .await
        .unwrap();
    camera.write_all(&photo).await.unwrap();
    camera.shutdown().await.unwrap();
    if let Some(answer) = read_answer(&mut camera).await {
        answer.expect_problem(400, "incomplete-body");
    }
    web.expect_nothing_left().await;
}

#[tokio::test]
async fn bytes_after_the_announced_length_are_ignored() {
    let web = WebFixture::start().await;
    let photo = jpeg(64, 48, 5000, 1);
    let head = raw_upload_head(PHOTOS, "Content-Length: 4000\r\n");
    let answer = web.raw(&[head, photo].concat()).await;
    assert_eq!((answer.status, &answer.json()["size_bytes"]), (202, &4000.into()));
}

#[tokio::test]
async fn malformed_chunks_are_answered_400() {
    let web = WebFixture::start().await;
    let photo = jpeg(64, 48, 0x1000, 1);
    let head = raw_upload_head(PHOTOS, "Transfer-Encoding: chunked\r\n");
    let chunk = [b"1000\r\n".to_vec(), photo, b"\r\n".to_vec()].concat();
    for garbage in ["zz\r\n", "ffffffffffffffffff\r\n", "5\r\nabcdefghij", "-1\r\n"] {
        let request = [head.clone(), chunk.clone(), garbage.as_bytes().to_vec()].concat();
        web.raw(&request).await.expect_problem(400, "incomplete-body");
    }
    web.expect_nothing_left().await;
}

#[tokio::test]
async fn a_camera_that_sends_nothing_is_answered_408() {
    let web = WebFixture::start_with(|overrides| {
        overrides.settings.upload.idle_timeout = Duration::from_millis(500)
    })
    .await;
    let photo = jpeg(64, 48, 50_000, 1);
    for headers in [
        "Content-Length: 60000\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let body = match headers {
            "Content-Length: 60000\r\n" => photo.clone(),
            _ => [
                format!("{:x}\r\n", photo.len()).into_bytes(),
                photo.clone(),
                b"\r\n".to_vec(),
            ]
            .concat(),
        };
        // The last case sends the preamble of the form.
        let answer = web.raw(&[raw_upload_head(PHOTOS, headers), body].concat()).await;
        answer.expect_problem(408, "upload-idle");
    }
    web.expect_nothing_left().await;
}

#[tokio::test]
async fn a_slow_camera_is_not_a_stalled_store() {
    let web = WebFixture::start_with(|overrides| {
        overrides.settings.upload.store_timeout = Duration::from_millis(300)
    })
    .await;
    let photo = jpeg(64, 48, 50_000, 1);
    for headers in ["Content-Length: 50000\r\n", "Transfer-Encoding: chunked\r\n"] {
        let mut camera = web.connect().await;
        camera.write_all(&raw_upload_head(PHOTOS, headers)).await.unwrap();
        for piece in photo.chunks(10_000) {
            if headers.contains("chunked") {
                camera.write_all(b"2710\r\n").await.unwrap();
                camera.write_all(piece).await.unwrap();
                camera.write_all(b"\r\n").await.unwrap();
            } else {
                camera.write_all(piece).await.unwrap();
            }
            sleep(Duration::from_millis(450)).await;
        }
        if headers.contains("chunked") {
            camera.write_all(b"0\r\n\r\n").await.unwrap();
        }
        let answer = read_answer(&mut camera).await.unwrap();
        assert_eq!(
            (answer.status, &answer.json()["size_bytes"]),
            (202, &50_000.into())
        );
    }
}

#[tokio::test]
async fn malformed_forms_are_answered_400() {
    let web = WebFixture::start().await;
    let photo = jpeg(64, 48, 900, 1);
    let image = "form-data; name=\"image\"";
    let whole = image_field(image, &photo);
    let nested = image_field(
        "form-data; name=image\r\nContent-Type: multipart/mixed; boundary=c",
        b"--c\r\nContent-Disposition: file; filename=a.jpg\r\n\r\nx\r\n--c--",
    );
    for (body, status, code) in [
        (vec![b'x'; 200_000], 400, "malformed-form"),
        (
            [vec![b'x'; 100_000], b"\r\n".to_vec(), whole.clone()].concat(),
            400,
            "malformed-form",
        ),
        (whole[..whole.len() - 8].to_vec(), 400, "malformed-form"),
        (
            [whole.clone(), vec![b'x'; 100_000]].concat(),
            400,
            "malformed-form",
        ),
        (
            image_field(
                &format!("form-data; name=\"image\"; filename=\"{}\"", "x".repeat(50_000)),
                &photo,
            ),
            400,
            "malformed-form",
        ),
        (
            b"--b\r\nContent-Disposition: form-data; name=x\r\n\r\n\r\n".repeat(1000),
            400,
            "malformed-form",
        ),
        (b"--b--\r\n".to_vec(), 400, "image-missing"),
        (nested, 415, "unsupported-format"),
    ] {
        web.raw(&form(&body)).await.expect_problem(status, code);
    }
    for content_type in [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\u{1}\"",
    ] {
        let head = raw_upload_head(
            PHOTOS,
            &format!("Content-Type: {content_type}\r\nContent-Length: 2\r\n"),
        );
        let answer = web.raw(&[head, b"xx".to_vec()].concat()).await;
        assert_eq!(answer.status, 400, "{content_type:?}");
    }
    web.expect_nothing_left().await;
}

#[tokio::test]
async fn a_client_refused_during_its_upload_gets_the_response() {
    let web = WebFixture::start().await;
    let mut body = b"not a photo at all".to_vec();
    body.resize(3_000_000, b'x');
    for _ in 0..20 {
        web.post(PHOTOS, body.clone())
            .await
            .expect_problem(415, "unsupported-format");
    }
}
