//! Connections and shutdown.

use std::time::Duration;

use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

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
