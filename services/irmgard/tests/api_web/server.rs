//! Connections and shutdown.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::{
    fixture::{WebFixture, eventually, raw_upload_head, read_answer},
    test_images::jpeg,
};

const PHOTOS: &str = "/projects/site-1/photos";

#[tokio::test]
async fn a_connection_is_used_again_after_each_kind_of_answer() {
    let web = WebFixture::start().await;
    let mut camera = web.connect().await;
    for (request, status) in [
        (raw_upload_head(PHOTOS, "Content-Length: 900\r\n"), 202),
        (
            raw_upload_head(
                PHOTOS,
                "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 900\r\n",
            ),
            400,
        ),
        (
            raw_upload_head(PHOTOS, "Content-Length: 900\r\nIdempotency-Key: \"\"\r\n"),
            400,
        ),
        (raw_upload_head(PHOTOS, "Content-Length: 900\r\n"), 202),
    ] {
        camera.write_all(&request).await.unwrap();
        camera.write_all(&jpeg(64, 48, 900, 1)).await.unwrap();
        assert_eq!(read_answer(&mut camera).await.unwrap().status, status);
    }
}

#[tokio::test]
async fn at_shutdown_started_requests_finish_and_new_ones_are_refused() {
    let mut web = WebFixture::start().await;
    let mut camera = web.connect().await;
    let photo = jpeg(64, 48, 50_000, 1);
    camera
        .write_all(&raw_upload_head(PHOTOS, "Content-Length: 50000\r\n"))
        .await
        .unwrap();
    camera.write_all(&photo[..30_000]).await.unwrap();
    eventually("the upload has begun", async || web.tasks.len() == 1).await;
    // An open idle connection does not delay the shutdown.
    let idle = web.connect().await;

    web.end.cancel();
    eventually("the listener is closed", async || {
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
async fn an_upload_whose_camera_disconnects_at_the_end_is_kept_or_leaves_nothing() {
    let web = WebFixture::start().await;
    let photo = jpeg(64, 48, 50_000, 1);
    for wait in 0..12 {
        let mut camera = web.connect().await;
        camera
            .write_all(&raw_upload_head(PHOTOS, "Content-Length: 50000\r\n"))
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

/// Expects that a new connection is answered, while others may use all slots.
async fn expect_answer(web: &WebFixture) {
    let mut next = web.connect().await;
    next.write_all(b"GET /projects HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(read_answer(&mut next).await.unwrap().status, 200);
}

/// A connection whose client has this loopback address.
async fn connect_from(web: &WebFixture, address: [u8; 4]) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((address, 0).into()).unwrap();
    socket.connect(web.address).await.unwrap()
}

/// Expects that the server closes the connection, after any response.
async fn expect_closed(connection: &mut TcpStream) {
    let mut received = Vec::new();
    let closed = timeout(Duration::from_secs(10), connection.read_to_end(&mut received)).await;
    // A reset is an error.
    let _ = closed.expect("the server closes the connection");
}

const FLOOD: [u8; 4] = [127, 0, 0, 2];

#[tokio::test]
async fn idle_connections_of_others_do_not_keep_a_client_waiting() {
    let web = WebFixture::start_with(|overrides| overrides.limits.connections = 64).await;
    let mut honest = web.connect().await;
    let ask = b"GET /projects HTTP/1.1\r\nHost: x\r\n\r\n";
    honest.write_all(ask).await.unwrap();
    assert_eq!(read_answer(&mut honest).await.unwrap().status, 200);

    // The flood has silent connections, half header blocks and used connections, from one address and from many.
    let mut flood = Vec::new();
    for number in 0..200_u8 {
        let address = if number % 2 == 0 {
            FLOOD
        } else {
            [127, 0, 1, number]
        };
        let mut connection = connect_from(&web, address).await;
        match number % 3 {
            0 => {}
            1 => connection.write_all(&ask[..20]).await.unwrap(),
            _ => {
                connection.write_all(ask).await.unwrap();
                assert_eq!(read_answer(&mut connection).await.unwrap().status, 200);
            }
        }
        flood.push(connection);
    }
    timeout(Duration::from_secs(10), expect_answer(&web))
        .await
        .expect("a new client is answered");
    expect_closed(&mut flood[0]).await;
}

#[tokio::test]
async fn a_header_block_must_be_whole_in_time() {
    let web =
        WebFixture::start_with(|overrides| overrides.limits.header_timeout = Duration::from_millis(400))
            .await;
    let mut silent = web.connect().await;
    let mut half = web.connect().await;
    half.write_all(b"GET /projects HTTP/1.1\r\nHost").await.unwrap();
    let mut later = web.connect().await;
    later
        .write_all(b"GET /projects HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(read_answer(&mut later).await.unwrap().status, 200);
    // A used connection may be idle for longer, but not with half a header block.
    tokio::time::sleep(Duration::from_millis(800)).await;
    later.write_all(b"GET").await.unwrap();
    for connection in [&mut silent, &mut half, &mut later] {
        expect_closed(connection).await;
    }
    expect_answer(&web).await;
}

#[tokio::test]
async fn one_address_has_a_share_of_the_connections() {
    let web = WebFixture::start_with(|overrides| {
        overrides.limits.connections = 8;
        overrides.limits.per_address = 4;
    })
    .await;
    let photo = jpeg(64, 48, 50_000, 1);
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut camera = connect_from(&web, FLOOD).await;
        camera
            .write_all(&raw_upload_head(PHOTOS, "Content-Length: 50000\r\n"))
            .await
            .unwrap();
        camera.write_all(&photo[..1000]).await.unwrap();
        slow.push(camera);
    }
    eventually("the uploads have begun", async || web.tasks.len() == 4).await;
    let mut one_more = connect_from(&web, FLOOD).await;
    let refused = read_answer(&mut one_more).await.expect("an answer");
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.header("retry-after").is_some());
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert_eq!(refused.json()["status"], 503);
    expect_answer(&web).await;

    // The uploads continue and complete.
    for camera in &mut slow {
        camera.write_all(&photo[1000..]).await.unwrap();
        assert_eq!(read_answer(camera).await.unwrap().status, 202);
    }
    // They are idle now: one of them is replaced.
    let mut next = connect_from(&web, FLOOD).await;
    next.write_all(b"GET /projects HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(read_answer(&mut next).await.unwrap().status, 200);
}

#[tokio::test]
async fn an_unread_image_does_not_hold_its_connection() {
    let web = WebFixture::start_with(|overrides| {
        overrides.limits.reading.window = Duration::from_millis(400);
        overrides.limits.connections = 1;
    })
    .await;
    // More than the kernel's buffers on both sides hold.
    let image = vec![0xA5; 32 * 1024 * 1024];
    let photo = jpeg(64, 48, 900, 1);
    let head = raw_upload_head(PHOTOS, "Content-Length: 900\r\nConnection: close\r\n");
    let answer = web.raw(&[head, photo].concat()).await;
    let location = answer.json()["storage_location"].as_str().unwrap().to_owned();
    let (_, key) = location.split_once('/').unwrap();
    let bucket = web.settings.store.output_bucket.clone();
    web.put(&bucket, key, image.clone()).await;
    sqlx::query("UPDATE photo SET status = 'anonymized', output = $1")
        .bind(format!("s3://{bucket}/{key}"))
        .execute(&web.pool)
        .await
        .unwrap();

    let request = format!("GET /photos/{}/image HTTP/1.1\r\nHost: x\r\n\r\n", answer.id());
    let mut reader = web.connect().await;
    reader.write_all(request.as_bytes()).await.unwrap();
    timeout(Duration::from_secs(20), expect_answer(&web))
        .await
        .expect("the slot becomes free");
    let mut read = Vec::new();
    let _ = reader.read_to_end(&mut read).await;
    assert!(read.starts_with(b"HTTP/1.1 200"), "{} bytes", read.len());
    assert!(read.len() < image.len(), "the whole image was sent");
}

#[tokio::test]
async fn the_openapi_document_is_served() {
    let web = WebFixture::start().await;
    let answer = web.get("/openapi.json").await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let paths = answer.json()["paths"].clone();
    for (path, methods) in [
        ("/", ["get", "post"].as_slice()),
        ("/projects", &["get"]),
        ("/projects/{project}/photos", &["get", "post"]),
        ("/photos/{id}", &["get"]),
        ("/photos/{id}/image", &["get"]),
    ] {
        for method in methods {
            assert!(paths[path][method].is_object(), "{method} {path}");
        }
    }
}
