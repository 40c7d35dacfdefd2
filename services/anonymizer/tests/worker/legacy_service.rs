//! Messages of the legacy web service.

use contract::{ObjectLocation, headers::X_PARKED_REASON, media::MediaType};

use crate::harness::{Harness, astronaut};

async fn harness_with_extra_bucket() -> (Harness, String) {
    let mut bucket = String::new();
    let harness = Harness::with_environment(|environment| {
        // The worker's rights depend on the end of a bucket's name. This name gives it the
        // same rights as in the input bucket.
        bucket = environment["OBJECT_STORE_OUTPUT_BUCKET"].replace("output", "infiles-input");
        environment.insert("OBJECT_STORE_EXTRA_INPUT_BUCKETS".into(), bucket.clone());
    })
    .await;
    harness
        .store
        .client()
        .create_bucket()
        .bucket(&bucket)
        .send()
        .await
        .expect("bucket");
    (harness, bucket)
}

fn legacy_message(location: &str) -> String {
    format!(r#"{{"id":1,"name":"cam 1.png","storage_location":"{location}"}}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn legacy_service_photo_keeps_its_key_and_has_no_result() {
    let (mut harness, bucket) = harness_with_extra_bucket().await;
    harness.start_worker().await;
    let original = ObjectLocation::new(&bucket, "cam 1.png").unwrap();
    let output = ObjectLocation::new(&harness.store.settings().output_bucket, "cam 1.png").unwrap();
    harness
        .store
        .put(&original, astronaut(), "image/png")
        .await
        .unwrap();
    harness
        .publish_job(legacy_message(&original.storage_location()))
        .await;
    harness.assert_no_result().await;
    assert!(!harness.object_exists(&original).await);
    let written = harness.read_object(&output).await.unwrap();
    assert_eq!(MediaType::sniff(&written), Some(MediaType::Jpeg));

    harness
        .wait_until("the job is logged", async || {
            harness.worker.log().contains(r#""given":{"id":1}"#)
        })
        .await;
    assert!(!harness.worker.log().contains("cam 1"));

    harness
        .publish_job(legacy_message(&original.storage_location()))
        .await;
    harness.assert_no_result().await;
    assert_eq!(harness.read_object(&output).await.unwrap(), written);
    assert_eq!(
        harness.publisher.messages_ready(&harness.queues.parked).await,
        Ok(0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_legacy_service_photo_is_parked_and_its_original_stays() {
    let (mut harness, bucket) = harness_with_extra_bucket().await;
    harness.start_worker().await;
    let original = ObjectLocation::new(&bucket, "a.jpg").unwrap();
    harness
        .store
        .put(&original, b"text".to_vec(), "image/png")
        .await
        .unwrap();
    harness
        .publish_job(legacy_message(&original.storage_location()))
        .await;
    let parked = harness.take_message(&harness.queues.parked).await;
    assert_eq!(
        parked.body,
        legacy_message(&original.storage_location()).into_bytes()
    );
    let reason = parked.header_text(X_PARKED_REASON).unwrap();
    assert!(reason.starts_with("unsupported-format"), "{reason}");
    harness.assert_no_result().await;
    assert!(harness.object_exists(&original).await);

    harness
        .publish_job(legacy_message(&format!("{bucket}/nowhere.jpg")))
        .await;
    let reason = harness
        .take_message(&harness.queues.parked)
        .await
        .header_text(X_PARKED_REASON)
        .unwrap();
    assert!(reason.starts_with("original-missing"), "{reason}");
}

/// Otherwise a forged message could delete irmgard's photos.
#[tokio::test(flavor = "multi_thread")]
async fn legacy_message_about_an_irmgard_photo_or_another_bucket_is_parked() {
    let (mut harness, _) = harness_with_extra_bucket().await;
    harness.start_worker().await;
    let photo = harness.new_photo(17, MediaType::Png);
    harness.store_original(&photo, astronaut()).await;
    let (input, output) = (photo.original.bucket(), photo.output.bucket());
    let key = photo.original.key();
    harness
        .store
        .put(&photo.output, astronaut(), "image/jpeg")
        .await
        .unwrap();
    let forged = [
        photo.original.storage_location(),
        format!("{output}/a.jpg"),
        // A store that reads keys as paths resolves these to other objects.
        format!("{input}/./{key}"),
        format!("{input}/x/../{key}"),
        format!("{input}//{key}"),
        format!("{input}/../{output}/{}", photo.output.key()),
    ];
    for location in forged {
        harness.publish_job(legacy_message(&location)).await;
        harness.take_message(&harness.queues.parked).await;
    }
    harness.assert_no_result().await;
    assert_eq!(harness.read_object(&photo.original).await.unwrap(), astronaut());
    assert_eq!(harness.read_object(&photo.output).await.unwrap(), astronaut());
}
