//! Runs a worker process against real servers. The test plays irmgard's part.

use std::{collections::BTreeMap, time::Duration};

use contract::{
    Job, ObjectLocation, PhotoId, PhotoKey, PhotoResult, Verdict, headers::TRACEPARENT, media::MediaType,
    queues::Queues,
};
use local::{Scratch, Service};
use service_runtime::{
    broker::{BrokerSettings, Consumer, Delivery, Message, Publisher},
    settings::SettingsReader,
    store::{Store, StoreError, StoreSettings},
};
use test_support::{FaultProxy, eventually};
use tokio::time::timeout;

/// Time limit of each wait: long enough for a busy machine.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// The trace id of every job in these tests.
pub const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";

/// Scratch servers, a worker that the test can start, and irmgard's ends of the queues.
pub struct Harness {
    pub store: Store,
    pub queues: Queues,
    pub publisher: Publisher,
    results: Consumer,
    pub worker: Service,
    environment: BTreeMap<String, String>,
    _scratch: Scratch,
}

/// One of irmgard's photos.
#[derive(Clone, Debug)]
pub struct TestPhoto {
    pub id: PhotoId,
    pub original: ObjectLocation,
    pub output: ObjectLocation,
    pub job: Job,
}

/// A photo of a person, 512 × 512 pixels.
pub fn astronaut() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../local/photos/astronaut.png");
    std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

impl Harness {
    /// A harness with default settings. The worker does not run yet.
    pub async fn new() -> Self {
        Self::with_environment(|_| {}).await
    }

    /// A harness with other settings for the worker.
    pub async fn with_environment(change: impl FnOnce(&mut BTreeMap<String, String>)) -> Self {
        let scratch = local::scratch().await.expect("servers");
        let environment = scratch.environment();
        let mut reader = SettingsReader::new(&environment);
        let broker = BrokerSettings::read(&mut reader, "test");
        let store = StoreSettings::read(&mut reader, Duration::from_secs(10));
        reader.finish().expect("settings of the scratch servers");
        let queues = broker.queues.clone();
        let publisher = Publisher::start(broker.clone());
        publisher.connected().await;
        let results = Consumer::subscribe(broker, &queues.results, 50);
        results.connected().await;
        let mut worker_environment = environment.clone();
        change(&mut worker_environment);
        Self {
            store: Store::new(store).expect("store"),
            queues,
            publisher,
            results,
            worker: Service::new("anonymizer", &worker_environment).expect("the built worker"),
            environment,
            _scratch: scratch,
        }
    }

    /// A harness whose worker runs with default settings.
    pub async fn started() -> Self {
        let mut harness = Self::new().await;
        harness.start_worker().await;
        harness
    }

    /// A harness whose worker reaches the store through a fault proxy. The worker does not run yet.
    pub async fn behind_store_proxy(hold_limit: &str) -> (Self, FaultProxy) {
        let mut harness = Self::new().await;
        let proxy = FaultProxy::start(&harness.store.settings().endpoint).unwrap();
        harness.worker.set("OBJECT_STORE_ENDPOINT", &proxy.url());
        harness.worker.set("HOLD_LIMIT", hold_limit);
        (harness, proxy)
    }

    pub async fn start_worker(&mut self) {
        self.worker.start().await.expect("worker starts");
    }

    /// A photo with its locations and its job. Nothing is stored yet.
    pub fn new_photo(&self, id: i64, media_type: MediaType) -> TestPhoto {
        let id = PhotoId::try_from(id).unwrap();
        let key = PhotoKey {
            project: "site-north".parse().unwrap(),
            received_on: "2026-02-03".parse().unwrap(),
            id,
        };
        let settings = self.store.settings();
        let original = ObjectLocation::new(&settings.input_bucket, key.original(media_type)).unwrap();
        let output = ObjectLocation::new(&settings.output_bucket, key.anonymized()).unwrap();
        let job = Job {
            version: contract::job::VERSION,
            id,
            name: "IMG_0001.JPG".to_owned(),
            storage_location: original.storage_location(),
            uri: original.clone(),
            output: output.clone(),
            project: key.project,
        };
        TestPhoto {
            id,
            original,
            output,
            job,
        }
    }

    /// Stores an original and publishes its job, as irmgard does.
    pub async fn submit(&self, id: i64, bytes: Vec<u8>) -> TestPhoto {
        let photo = self.new_photo(id, MediaType::sniff(&bytes).unwrap_or(MediaType::Jpeg));
        self.store_original(&photo, bytes).await;
        self.publish_job(photo.job.encode().unwrap()).await;
        photo
    }

    pub async fn store_original(&self, photo: &TestPhoto, bytes: Vec<u8>) {
        self.store
            .put(&photo.original, bytes, "image/jpeg")
            .await
            .expect("original is stored");
    }

    pub async fn publish_job(&self, body: impl Into<Vec<u8>>) {
        let message =
            Message::new(body).with_header(TRACEPARENT, format!("00-{TRACE_ID}-b7ad6b7169203331-01"));
        self.publish_message(&message).await;
    }

    pub async fn publish_message(&self, message: &Message) {
        self.publisher
            .publish(&self.queues.jobs, message)
            .await
            .expect("job is published");
    }

    /// Takes and acks the next result.
    pub async fn next_result(&self) -> PhotoResult {
        self.next_result_and_delivery().await.0
    }

    /// Takes and acks the next result, if one arrives in time.
    pub async fn next_result_within(&self, limit: Duration) -> Option<PhotoResult> {
        let delivery = timeout(limit, self.results.next()).await.ok()??;
        delivery.ack().await.expect("ack");
        Some(PhotoResult::decode(&delivery.body).expect("result"))
    }

    /// Host and port of the broker.
    pub fn broker_address(&self) -> (String, u16) {
        let port = self.environment["RABBITMQ_PORT"].parse().expect("port");
        (self.environment["RABBITMQ_HOST"].clone(), port)
    }

    /// Takes and acks the next result, with its delivery.
    pub async fn next_result_and_delivery(&self) -> (PhotoResult, Delivery) {
        let delivery = timeout(TIMEOUT, self.results.next())
            .await
            .unwrap_or_else(|_| panic!("no result; log of the worker:\n{}", self.worker.log()))
            .expect("consumer is open");
        delivery.ack().await.expect("ack");
        (PhotoResult::decode(&delivery.body).expect("result"), delivery)
    }

    /// Takes the next result, which must be a failure of this photo. Returns its reason.
    pub async fn next_failure(&self, photo: PhotoId) -> String {
        let result = self.next_result().await;
        assert_eq!(result.id, photo);
        match result.verdict {
            Verdict::Failed { reason, .. } => reason.code().to_owned(),
            Verdict::Anonymized { .. } => panic!("expected a failure: {:?}", result.verdict),
        }
    }

    /// Waits until all jobs have ended, and asserts that no result is left.
    pub async fn assert_no_result(&self) {
        self.wait_until_drained().await;
        let result = timeout(Duration::from_millis(300), self.results.next()).await;
        assert!(result.is_err(), "{result:?}");
    }

    /// Takes and acks the next message of a queue.
    pub async fn take_message(&self, queue: &str) -> Delivery {
        let mut reader = SettingsReader::new(&self.environment);
        let broker = BrokerSettings::read(&mut reader, "test");
        let consumer = Consumer::subscribe(broker, queue, 1);
        let delivery = timeout(TIMEOUT, consumer.next())
            .await
            .unwrap_or_else(|_| panic!("no message in {queue}; log of the worker:\n{}", self.worker.log()))
            .expect("consumer is open");
        delivery.ack().await.expect("ack");
        consumer.close().await;
        delivery
    }

    /// Waits until no job is queued or in work.
    pub async fn wait_until_drained(&self) {
        self.wait_until("no job is queued or in work", async || {
            let queued = self.publisher.messages_ready(&self.queues.jobs).await;
            queued == Ok(0) && self.metric("anonymizer_jobs_in_flight").await == Some(0.0)
        })
        .await;
    }

    /// Waits until a condition is true. The worker's log is part of the failure.
    pub async fn wait_until(&self, description: &str, condition: impl AsyncFn() -> bool) {
        eventually(description, async || match condition().await {
            true => Ok(()),
            false => Err(self.worker.log()),
        })
        .await;
    }

    /// Waits until the consumer pauses, because jobs wait to retry a step.
    pub async fn wait_until_paused(&self) {
        self.wait_until("the consumer pauses", async || {
            self.metric("anonymizer_consumer_paused").await == Some(1.0)
        })
        .await;
    }

    /// Waits until a job is in work.
    pub async fn wait_until_in_work(&self) {
        self.wait_until("the job is in work", async || {
            self.metric("anonymizer_jobs_in_flight").await == Some(1.0)
        })
        .await;
    }

    pub async fn metric(&self, name: &str) -> Option<f64> {
        let url = format!("http://{}/metrics", self.worker.admin_address());
        let text = reqwest::get(url).await.ok()?.text().await.ok()?;
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    pub async fn object_exists(&self, location: &ObjectLocation) -> bool {
        self.store.exists(location).await.expect("store answers")
    }

    pub async fn read_object(&self, location: &ObjectLocation) -> Result<Vec<u8>, StoreError> {
        self.store.get(location, 1 << 30).await
    }

    /// Asserts that the anonymised photo exists and the original is deleted.
    pub async fn assert_anonymized(&self, photo: &TestPhoto) {
        assert!(
            !self.object_exists(&photo.original).await,
            "the original still exists"
        );
        let output = self.read_object(&photo.output).await.expect("output");
        assert_eq!(MediaType::sniff(&output), Some(MediaType::Jpeg));
    }
}
