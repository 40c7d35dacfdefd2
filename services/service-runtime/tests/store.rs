//! Failures of the object store, with a real server and a dead one.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use contract::ObjectLocation;
use futures::stream;
use http_body_util::StreamBody;
use service_runtime::store::{Store, StoreError};
use tokio::{net::TcpListener, time::Instant};

fn location(bucket: &str, key: &str) -> ObjectLocation {
    ObjectLocation::new(bucket, key).expect("a location")
}

#[tokio::test]
async fn objects_are_stored_read_and_deleted() {
    let scratch = local::scratch()
        .await
        .expect("a scratch environment in the stack");
    let settings = support::store(&scratch.environment());
    let bucket = settings.input_bucket.clone();
    let store = Store::new(settings).expect("a client");
    let location = location(&bucket, "photos/a b/2026-01-01/1.jpg");

    assert_eq!(store.get(&location, 100).await, Err(StoreError::NotFound));
    assert_eq!(store.exists(&location).await, Ok(false));
    assert_eq!(
        store.delete(&location).await,
        Ok(()),
        "deleting a missing object succeeds"
    );

    store
        .put(&location, vec![7; 100], "image/jpeg")
        .await
        .expect("stored");
    assert_eq!(store.get(&location, 100).await, Ok(vec![7; 100]));
    assert_eq!(
        store.get(&location, 99).await,
        Err(StoreError::TooLarge { size_bytes: 100 })
    );
    let head = store.head(&location).await.expect("a head");
    assert_eq!(
        (head.size_bytes, head.content_type.as_deref()),
        (100, Some("image/jpeg"))
    );

    store
        .put(&location, Vec::new(), "image/jpeg")
        .await
        .expect("stored");
    assert_eq!(store.get(&location, 100).await, Ok(Vec::new()));
    store.delete(&location).await.expect("deleted");
    assert_eq!(store.exists(&location).await, Ok(false));
}

#[tokio::test]
async fn a_missing_bucket_is_unavailable_not_a_missing_object() {
    let scratch = local::scratch()
        .await
        .expect("a scratch environment in the stack");
    let store = Store::new(support::store(&scratch.environment())).expect("a client");
    let location = location("no-such-bucket-here", "1.jpg");
    for (what, result) in [
        ("get", store.get(&location, 10).await.map(drop)),
        ("head", store.head(&location).await.map(drop)),
        ("check", store.check_bucket("no-such-bucket-here").await),
    ] {
        assert!(
            matches!(result, Err(StoreError::Unavailable(_))),
            "{what}: {result:?}"
        );
    }
}

#[tokio::test]
async fn wrong_credentials_are_a_refusal() {
    let scratch = local::scratch()
        .await
        .expect("a scratch environment in the stack");
    let mut settings = support::store(&scratch.environment());
    settings.secret_access_key = "wrong".to_owned().into();
    let location = location(&settings.input_bucket, "1.jpg");
    let store = Store::new(settings).expect("a client");
    let result = store.get(&location, 10).await;
    assert!(
        matches!(result, Err(StoreError::Refused { status: 403, .. })),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_store_that_refuses_or_stalls_is_unavailable_in_time() {
    let scratch = local::scratch()
        .await
        .expect("a scratch environment in the stack");
    let mut settings = support::store(&scratch.environment());
    settings.answer_timeout = Duration::from_millis(300);
    let location = location(&settings.input_bucket, "1.jpg");

    let stalled = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    settings.endpoint = format!("http://{}", stalled.local_addr().expect("an address"));
    let started = Instant::now();
    let result = Store::new(settings.clone())
        .expect("a client")
        .get(&location, 10)
        .await;
    assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );

    drop(stalled);
    let result = Store::new(settings).expect("a client").get(&location, 10).await;
    assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
}

#[tokio::test]
async fn a_body_of_known_length_is_streamed() {
    let scratch = local::scratch()
        .await
        .expect("a scratch environment in the stack");
    let settings = support::store(&scratch.environment());
    let location = location(&settings.input_bucket, "streamed.jpg");
    let store = Store::new(settings).expect("a client");
    let chunks = (0..64).map(|number| {
        let chunk = bytes::Bytes::from(vec![number; 1024]);
        Ok::<_, std::io::Error>(http_body::Frame::data(chunk))
    });
    store
        .upload_client()
        .put_object()
        .bucket(location.bucket())
        .key(location.key())
        .content_length(64 * 1024)
        .body(ByteStream::from_body_1_x(StreamBody::new(stream::iter(chunks))))
        .send()
        .await
        .expect("stored");
    let stored = store.get(&location, 1 << 20).await.expect("read");
    assert_eq!(stored.len(), 64 * 1024);
    assert_eq!(stored[63 * 1024], 63);
}
