//! Rights of the web service's account at the object store.

use aws_sdk_s3::primitives::ByteStream;
use contract::ObjectLocation;
use service_runtime::store::{Store, StoreError};

use super::{fixture::WebFixture, test_images::jpeg};

/// Protects originals even if the code is wrong. All other tests of the web service use this account, too.
#[tokio::test]
async fn the_web_service_has_no_right_to_read_an_original() {
    let web = WebFixture::start().await;
    let settings = &web.settings.store;
    if std::env::var("OBJECT_STORE_ACCESS_KEY_ID").is_ok_and(|owner| owner == settings.access_key_id) {
        local::not_tested(
            "irmgard's rights at the object store, which is given from outside with one account",
        );
        return;
    }
    assert_eq!(
        web.post("/projects/site-1/photos", jpeg(64, 48, 900, 1))
            .await
            .status,
        202
    );
    let key = web.originals().await.pop().unwrap();
    let original = ObjectLocation::new(&settings.input_bucket, &key).unwrap();
    let output = ObjectLocation::new(&settings.output_bucket, &key).unwrap();
    web.put(output.bucket(), output.key(), b"anonymised".to_vec())
        .await;

    let service_store = Store::new(settings.clone()).unwrap();
    let is_refused = |error: &StoreError| matches!(error, StoreError::Refused { status: 403, .. });
    let read = service_store.get(&original, 1000).await.unwrap_err();
    assert!(is_refused(&read), "{read}");
    let head = service_store.head(&original).await.unwrap_err();
    assert!(is_refused(&head), "{head}");
    for copy in [format!("{key}.copy"), key.clone()] {
        let request = service_store
            .client()
            .copy_object()
            .copy_source(original.storage_location());
        let request = request.bucket(original.bucket()).key(copy).send();
        let copied = StoreError::from(request.await.unwrap_err());
        assert!(is_refused(&copied), "{copied}");
    }
    let put = service_store
        .client()
        .put_object()
        .bucket(output.bucket())
        .key(output.key());
    let put = put.body(ByteStream::from_static(b"x")).send().await.unwrap_err();
    assert!(is_refused(&StoreError::from(put)));

    assert_eq!(service_store.get(&output, 1000).await.unwrap(), b"anonymised");
    service_store.delete(&original).await.unwrap();
    assert!(web.originals().await.is_empty());
}
