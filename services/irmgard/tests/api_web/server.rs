//! Connections and shutdown.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{
    pictures::jpeg,
    web::{Web, eventually, read_answer, upload_head},
};

const PHOTOS: &str = "/projects/site-1/photos";

#[tokio::test]
async fn a_connection_is_used_again_after_each_kind_of_answer() {
    let web = Web::start().await;
    let mut camera = web.connect().await;
    for (request, status) in [
        (upload_head(PHOTOS, "Content-Length: 900\r\n"), 202),
        (
            upload_head(
                PHOTOS,
                "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 900\r\n",
            ),
            400,
        ),
        (
            upload_head(PHOTOS, "Content-Length: 900\r\nIdempotency-Key: \"\"\r\n"),
            400,
        ),
        (upload_head(PHOTOS, "Content-Length: 900\r\n"), 202),
    ] {
        camera.write_all(&request).await.unwrap();
        camera.write_all(&jpeg(64, 48, 900, 1)).await.unwrap();
        assert_eq!(read_answer(&mut camera).await.unwrap().status, status);
    }
}

#[tokio::test]
async fn at_the_end_what_was_begun_is_answered_and_nothing_new_is_taken() {
    let mut web = Web::start().await;
    let mut camera = web.connect().await;
    let photo = jpeg(64, 48, 50_000, 1);
    camera
        .write_all(&upload_head(PHOTOS, "Content-Length: 50000\r\n"))
        .await
        .unwrap();
    camera.write_all(&photo[..30_000]).await.unwrap();
    eventually("the upload has begun", async || web.tasks.len() == 1).await;
    // One that is open and idle holds nothing up.
    let idle = web.connect().await;

    web.end.cancel();
    eventually("nobody listens", async || {
        TcpStream::connect(web.address).await.is_err()
    })
    .await;
    assert!(!web.server.as_ref().unwrap().is_finished());
    camera.write_all(&photo[30_000..]).await.unwrap();
    assert_eq!(read_answer(&mut camera).await.unwrap().status, 202);
    timeout(Duration::from_secs(5), web.server.take().unwrap())
        .await
        .unwrap()
        .unwrap();
    drop(idle);
    assert_eq!(web.count("photo").await, 1);
}

#[tokio::test]
async fn an_upload_whose_camera_goes_away_at_the_end_is_kept_or_leaves_nothing() {
    let web = Web::start().await;
    let photo = jpeg(64, 48, 50_000, 1);
    for wait in 0..12 {
        let mut camera = web.connect().await;
        camera
            .write_all(&upload_head(PHOTOS, "Content-Length: 50000\r\n"))
            .await
            .unwrap();
        camera.write_all(&photo).await.unwrap();
        tokio::time::sleep(Duration::from_millis(wait)).await;
        drop(camera);
    }
    eventually(
        "every photo has its original and every original its photo",
        async || web.tasks.is_empty() && web.originals().await.len() as i64 == web.count("photo").await,
    )
    .await;
    assert_eq!(web.count("photo").await, web.count("outbox").await);
}

/// Whether a new connection is answered, while others may hold all places.
async fn answers(web: &Web) {
    let mut next = web.connect().await;
    next.write_all(b"GET /projects HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(read_answer(&mut next).await.unwrap().status, 200);
}

#[tokio::test]
async fn connections_that_ask_for_nothing_do_not_keep_others_out() {
    let web = Web::start_with(|change| {
        change.limits.header_timeout = Duration::from_millis(400);
        change.limits.connections = 3;
    })
    .await;
    let _silent = web.connect().await;
    let mut half = web.connect().await;
    half.write_all(b"GET /projects HTTP/1.1\r\nHost").await.unwrap();
    let mut idle = web.connect().await;
    idle.write_all(b"GET /projects HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(read_answer(&mut idle).await.unwrap().status, 200);
    timeout(Duration::from_secs(10), answers(&web))
        .await
        .expect("a place becomes free");
}

#[tokio::test]
async fn a_picture_that_nobody_reads_does_not_hold_its_connection() {
    let web = Web::start_with(|change| {
        change.limits.reading.window = Duration::from_millis(400);
        change.limits.connections = 1;
    })
    .await;
    // More than the kernel's buffers of both sides take.
    let picture = vec![0xA5; 32 * 1024 * 1024];
    let photo = jpeg(64, 48, 900, 1);
    let head = upload_head(PHOTOS, "Content-Length: 900\r\nConnection: close\r\n");
    let answer = web.raw(&[head, photo].concat()).await;
    let place = answer.json()["storage_location"].as_str().unwrap().to_owned();
    let (_, key) = place.split_once('/').unwrap();
    let bucket = web.settings.store.output_bucket.clone();
    web.put(&bucket, key, picture.clone()).await;
    sqlx::query("UPDATE photo SET status = 'anonymized', output = $1")
        .bind(format!("s3://{bucket}/{key}"))
        .execute(&web.pool)
        .await
        .unwrap();

    let request = format!("GET /photos/{}/image HTTP/1.1\r\nHost: x\r\n\r\n", answer.id());
    let mut reader = web.connect().await;
    reader.write_all(request.as_bytes()).await.unwrap();
    timeout(Duration::from_secs(20), answers(&web))
        .await
        .expect("the place becomes free");
    let mut read = Vec::new();
    let _ = reader.read_to_end(&mut read).await;
    assert!(read.starts_with(b"HTTP/1.1 200"), "{} bytes", read.len());
    assert!(read.len() < picture.len(), "the whole picture was sent");
}
