//! Messages of the given web service.

use contract::{ObjectLocation, headers::X_PARKED_REASON, media::MediaType};

use crate::harness::{Site, astronaut};

async fn site_with_infiles() -> (Site, String) {
    let mut bucket = String::new();
    let site = Site::with(|environment| {
        // Buckets have the scratch servers' own names: a third is the output
        // bucket's name with another ending, by which the worker has the
        // rights there that it has in the input bucket.
        bucket = environment["OBJECT_STORE_OUTPUT_BUCKET"].replace("output", "infiles-input");
        environment.insert("OBJECT_STORE_EXTRA_INPUT_BUCKETS".into(), bucket.clone());
    })
    .await;
    site.store
        .client()
        .create_bucket()
        .bucket(&bucket)
        .send()
        .await
        .expect("bucket");
    (site, bucket)
}

fn message(location: &str) -> String {
    format!(r#"{{"id":1,"name":"cam 1.png","storage_location":"{location}"}}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn photo_of_the_given_web_service_keeps_its_name_and_has_no_result() {
    let (mut site, bucket) = site_with_infiles().await;
    site.start().await;
    let original = ObjectLocation::new(&bucket, "cam 1.png").unwrap();
    let output = ObjectLocation::new(&site.store.settings().output_bucket, "cam 1.png").unwrap();
    site.store.put(&original, astronaut(), "image/png").await.unwrap();
    site.queue(message(&original.storage_location())).await;
    site.no_result().await;
    assert!(!site.is_there(&original).await);
    let written = site.read(&output).await.unwrap();
    assert_eq!(MediaType::sniff(&written), Some(MediaType::Jpeg));

    site.until("its line", async || {
        site.worker.log().contains(r#""given":{"id":1}"#)
    })
    .await;
    assert!(!site.worker.log().contains("cam 1"));

    site.queue(message(&original.storage_location())).await;
    site.no_result().await;
    assert_eq!(site.read(&output).await.unwrap(), written);
    assert_eq!(site.publisher.messages_ready(&site.queues.parked).await, Ok(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_photo_of_the_given_web_service_is_parked_and_stays() {
    let (mut site, bucket) = site_with_infiles().await;
    site.start().await;
    let original = ObjectLocation::new(&bucket, "a.jpg").unwrap();
    site.store
        .put(&original, b"text".to_vec(), "image/png")
        .await
        .unwrap();
    site.queue(message(&original.storage_location())).await;
    let parked = site.take(&site.queues.parked).await;
    assert_eq!(parked.body, message(&original.storage_location()).into_bytes());
    let why = parked.header_text(X_PARKED_REASON).unwrap();
    assert!(why.starts_with("unsupported-format"), "{why}");
    site.no_result().await;
    assert!(site.is_there(&original).await);

    site.queue(message(&format!("{bucket}/nowhere.jpg"))).await;
    let why = site
        .take(&site.queues.parked)
        .await
        .header_text(X_PARKED_REASON)
        .unwrap();
    assert!(why.starts_with("original-missing"), "{why}");
}

/// Else anybody who can write to the queue could take our photos away.
#[tokio::test(flavor = "multi_thread")]
async fn given_message_about_a_photo_of_ours_or_another_bucket_is_parked() {
    let (mut site, _) = site_with_infiles().await;
    site.start().await;
    let ours = site.photo(17, MediaType::Png);
    site.store_original(&ours, astronaut()).await;
    let (input, output) = (ours.original.bucket(), ours.output.bucket());
    let key = ours.original.key();
    site.store
        .put(&ours.output, astronaut(), "image/jpeg")
        .await
        .unwrap();
    let forged = [
        ours.original.storage_location(),
        format!("{output}/a.jpg"),
        // A store that reads keys as paths takes these for others.
        format!("{input}/./{key}"),
        format!("{input}/x/../{key}"),
        format!("{input}//{key}"),
        format!("{input}/../{output}/{}", ours.output.key()),
    ];
    for location in forged {
        site.queue(message(&location)).await;
        site.take(&site.queues.parked).await;
    }
    site.no_result().await;
    assert_eq!(site.read(&ours.original).await.unwrap(), astronaut());
    assert_eq!(site.read(&ours.output).await.unwrap(), astronaut());
}
