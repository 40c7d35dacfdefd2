//! A worker process against real servers, with irmgard's part played by the
//! test.

use std::{collections::BTreeMap, time::Duration};

use chassis::{
    broker::{BrokerSettings, Consumer, Delivery, Message, Publisher},
    settings::Reader,
    store::{Store, StoreError, StoreSettings},
};
use contract::{
    Job, ObjectLocation, Outcome, PhotoId, PhotoKey, PhotoResult, headers::TRACEPARENT, media::MediaType,
    queues::Queues,
};
use local::{Scratch, Service};
use tokio::time::{Instant, timeout};

/// Long enough for a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The trace of every job of these tests.
pub const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// Servers of its own, a worker that can be started, and irmgard's ends of
/// the queues.
pub struct Site {
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
pub struct Photo {
    pub id: PhotoId,
    pub original: ObjectLocation,
    pub output: ObjectLocation,
    pub job: Job,
}

/// A photo of a person, 512 × 512.
pub fn astronaut() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../local/photos/astronaut.png");
    std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

impl Site {
    /// A site whose worker does not run yet.
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A site with other settings for the worker.
    pub async fn with(change: impl FnOnce(&mut BTreeMap<String, String>)) -> Self {
        let scratch = local::scratch().await.expect("servers");
        let environment = scratch.environment();
        let mut reader = Reader::new(&environment);
        let broker = BrokerSettings::read(&mut reader, "test");
        let store = StoreSettings::read(&mut reader, Duration::from_secs(10));
        reader.finish().expect("settings of the scratch servers");
        let queues = broker.queues.clone();
        let publisher = Publisher::start(broker.clone());
        publisher.connected().await;
        let results = Consumer::subscribe(broker, &queues.results, 50);
        results.connected().await;
        let mut of_worker = environment.clone();
        change(&mut of_worker);
        Self {
            store: Store::new(store).expect("store"),
            queues,
            publisher,
            results,
            worker: Service::new("anonymizer", &of_worker).expect("the built worker"),
            environment,
            _scratch: scratch,
        }
    }

    pub async fn start(&mut self) {
        self.worker.start().await.expect("worker starts");
    }

    /// The photo's places; nothing is stored yet.
    pub fn photo(&self, id: i64, media_type: MediaType) -> Photo {
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
        Photo {
            id,
            original,
            output,
            job,
        }
    }

    /// Stores an original and queues its job, as irmgard does.
    pub async fn post(&self, id: i64, bytes: Vec<u8>) -> Photo {
        let photo = self.photo(id, MediaType::sniff(&bytes).unwrap_or(MediaType::Jpeg));
        self.store_original(&photo, bytes).await;
        self.queue(photo.job.encode().unwrap()).await;
        photo
    }

    pub async fn store_original(&self, photo: &Photo, bytes: Vec<u8>) {
        self.store
            .put(&photo.original, bytes, "image/jpeg")
            .await
            .expect("original is stored");
    }

    pub async fn queue(&self, body: impl Into<Vec<u8>>) {
        let message = Message::new(body).with_header(TRACEPARENT, format!("00-{TRACE}-b7ad6b7169203331-01"));
        self.queue_message(&message).await;
    }

    pub async fn queue_message(&self, message: &Message) {
        self.publisher
            .publish(&self.queues.jobs, message)
            .await
            .expect("job is queued");
    }

    /// The next result, acked.
    pub async fn result(&self) -> PhotoResult {
        self.result_and_delivery().await.0
    }

    /// The next result, if there is one in time.
    pub async fn result_within(&self, patience: Duration) -> Option<PhotoResult> {
        let delivery = timeout(patience, self.results.next()).await.ok()??;
        delivery.ack().await.expect("ack");
        Some(PhotoResult::decode(&delivery.body).expect("result"))
    }

    /// Host and port of the broker.
    pub fn broker_address(&self) -> (String, u16) {
        let port = self.environment["RABBITMQ_PORT"].parse().expect("port");
        (self.environment["RABBITMQ_HOST"].clone(), port)
    }

    pub async fn result_and_delivery(&self) -> (PhotoResult, Delivery) {
        let delivery = timeout(PATIENCE, self.results.next())
            .await
            .unwrap_or_else(|_| panic!("no result; the worker says:\n{}", self.worker.log()))
            .expect("consumer is open");
        delivery.ack().await.expect("ack");
        (PhotoResult::decode(&delivery.body).expect("result"), delivery)
    }

    /// The next result, which must be a verdict on this photo.
    pub async fn failure(&self, photo: PhotoId) -> String {
        let result = self.result().await;
        assert_eq!(result.id, photo);
        match result.outcome {
            Outcome::Failed { reason, .. } => reason.code().to_owned(),
            Outcome::Anonymized { .. } => panic!("not failed: {:?}", result.outcome),
        }
    }

    /// No result comes: everything that was queued has ended without one.
    pub async fn no_result(&self) {
        self.drained().await;
        let more = timeout(Duration::from_millis(300), self.results.next()).await;
        assert!(more.is_err(), "{more:?}");
    }

    /// Takes the next message from a queue.
    pub async fn take(&self, queue: &str) -> Delivery {
        let mut reader = Reader::new(&self.environment);
        let broker = BrokerSettings::read(&mut reader, "test");
        let consumer = Consumer::subscribe(broker, queue, 1);
        let delivery = timeout(PATIENCE, consumer.next())
            .await
            .unwrap_or_else(|_| panic!("nothing in {queue}; the worker says:\n{}", self.worker.log()))
            .expect("consumer is open");
        delivery.ack().await.expect("ack");
        consumer.close().await;
        delivery
    }

    /// Waits until the worker has nothing in work and nothing is queued.
    pub async fn drained(&self) {
        self.until("nothing is queued or in work", async || {
            let queued = self.publisher.messages_ready(&self.queues.jobs).await;
            queued == Ok(0) && self.metric("anonymizer_jobs_in_flight").await == Some(0.0)
        })
        .await;
    }

    /// Waits for a condition.
    pub async fn until(&self, what: &str, condition: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition().await {
            assert!(
                Instant::now() < deadline,
                "not in time: {what}\n{}",
                self.worker.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn metric(&self, name: &str) -> Option<f64> {
        let url = format!("http://{}/metrics", self.worker.admin_address());
        let text = reqwest::get(url).await.ok()?.text().await.ok()?;
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    pub async fn is_there(&self, location: &ObjectLocation) -> bool {
        self.store.exists(location).await.expect("store answers")
    }

    pub async fn read(&self, location: &ObjectLocation) -> Result<Vec<u8>, StoreError> {
        self.store.get(location, 1 << 30).await
    }

    /// The photo has ended well: only the anonymised picture is there.
    pub async fn assert_anonymized(&self, photo: &Photo) {
        assert!(
            !self.is_there(&photo.original).await,
            "the original is still there"
        );
        let output = self.read(&photo.output).await.expect("output");
        assert_eq!(MediaType::sniff(&output), Some(MediaType::Jpeg));
    }
}
