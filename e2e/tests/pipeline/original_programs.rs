//! Compatibility with the original programs: their API and their messages.

use contract::ObjectLocation;
use e2e::{
    picture::Picture,
    pipeline::{Pipeline, Setup, TIME_LIMIT, references},
};
use reqwest::multipart::{Form, Part};
use serde_json::Value;
use service_runtime::broker::Message;
use tokio::time::{Instant, sleep};

/// `POST /` with the multipart field `image` answers `Success: <name> <storage location>`. `GET /` answers an array in the order
/// of ids.
#[tokio::test(flavor = "multi_thread")]
async fn the_original_api_works() {
    let pipeline = Pipeline::start(Setup::default()).await.unwrap();
    let (bases, _) = references().await.unwrap();
    let camera = pipeline.camera();
    let url = camera.address();
    let mut locations = Vec::new();
    // Two photos with one name: the original service kept only the last one.
    for base in &bases[..2] {
        let part = Part::bytes(base.file.clone()).file_name("a.jpg");
        let response = camera
            .client()
            .post(&url)
            .multipart(Form::new().part("image", part))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        let text = response.text().await.unwrap();
        let location = text
            .strip_prefix("Success: a.jpg ")
            .expect(&text)
            .trim()
            .to_owned();
        assert!(
            location.starts_with(&pipeline.store.settings().input_bucket),
            "{text}"
        );
        locations.push(location);
    }
    assert_ne!(locations[0], locations[1]);
    pipeline.wait_until_idle(TIME_LIMIT).await.unwrap();

    let list: Vec<Value> = camera
        .client()
        .get(&url)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(list.len(), 2);
    let ids: Vec<i64> = list
        .iter()
        .map(|photo| photo["id"].as_i64().expect("the id is not a number"))
        .collect();
    assert!(ids[0] < ids[1], "not in the order of ids");
    for photo in &list {
        assert_eq!(photo["name"], "a.jpg");
        assert!(photo["storage_location"].is_string(), "{photo}");
    }
    let outputs = pipeline
        .keys(&pipeline.store.settings().output_bucket)
        .await
        .unwrap();
    assert_eq!(outputs.len(), 2, "each photo has its own output");
}

/// A message of the original program is processed without a result message, because its id belongs to another system.
#[tokio::test(flavor = "multi_thread")]
async fn the_original_message_is_processed() {
    let servers = e2e::pipeline::TestServers::scratch().await.unwrap();
    let input = servers.environment()["OBJECT_STORE_INPUT_BUCKET"].clone();
    // The suffix gives the worker the same permissions as in `input`.
    let infiles = format!("{}-infiles-input", input.trim_end_matches("-input"));
    let setup = Setup::default().with("OBJECT_STORE_EXTRA_INPUT_BUCKETS", &infiles);
    let mut pipeline = Pipeline::prepare(servers, setup).await.unwrap();
    pipeline
        .store
        .client()
        .create_bucket()
        .bucket(&infiles)
        .send()
        .await
        .unwrap();
    for service in pipeline.irmgards.iter_mut().chain(&mut pipeline.workers) {
        service.start().await.unwrap();
    }
    let (bases, references) = references().await.unwrap();

    // Our photo with the id of the original message.
    let camera = pipeline.camera();
    let id = camera.deliver(&camera.shoot(bases), TIME_LIMIT).await.unwrap();
    pipeline.wait_until_idle(TIME_LIMIT).await.unwrap();

    let original = ObjectLocation::new(&infiles, "a.jpg").unwrap();
    pipeline
        .store
        .put(&original, bases[1].file.clone(), "image/jpeg")
        .await
        .unwrap();
    pipeline.publisher.connected().await;
    let message = format!(r#"{{"id":{id},"name":"a.jpg","storage_location":"{infiles}/a.jpg"}}"#);
    pipeline
        .publisher
        .publish(&pipeline.queues().jobs, &Message::new(message))
        .await
        .unwrap();
    let output = ObjectLocation::new(&pipeline.store.settings().output_bucket, "a.jpg").unwrap();
    let deadline = Instant::now() + TIME_LIMIT;
    while pipeline.store.exists(&original).await.unwrap() {
        assert!(
            Instant::now() < deadline,
            "not processed\n{}",
            pipeline.recent_warnings()
        );
        sleep(std::time::Duration::from_millis(50)).await;
    }
    let file = pipeline.store.get(&output, 64 << 20).await.unwrap();
    assert_eq!(file, references[1].output);
    Picture::decode(&file).unwrap();

    // Our photo with the same id has not changed.
    let detections: sqlx::types::Json<Vec<contract::Detection>> =
        sqlx::query_scalar("select detections from photo where id = $1")
            .bind(id)
            .fetch_one(&pipeline.database)
            .await
            .unwrap();
    assert_eq!(detections.0, references[0].detections);
    assert_eq!(
        pipeline.publisher.messages_ready(&pipeline.queues().parked).await,
        Ok(0)
    );
    assert_eq!(
        pipeline
            .publisher
            .messages_ready(&pipeline.queues().results)
            .await,
        Ok(0)
    );
}
