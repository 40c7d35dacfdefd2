//! A test fixture: a migrated database, queues and buckets of its own.

use std::{
    process::{Output, Stdio},
    sync::Arc,
    time::Duration,
};

use contract::{FailureReason, ObjectLocation, PhotoId, PhotoKey, PhotoResult, Verdict, media::MediaType};
use irmgard::{
    database::{self, Database, Pool},
    metrics::Metrics,
    outbox::Relay,
    reconcile::Reconciler,
    results::{ResultsConsumer, VerdictEffect, VerdictSource, apply_verdicts},
    settings::ServeSettings,
};
use local::Scratch;
use service_runtime::{
    broker::{Consumer, Delivery, Message, Publisher},
    store::Store,
};
pub use test_support::eventually;
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// How long a condition may take to become true on a busy machine.
pub const TIMEOUT: Duration = Duration::from_secs(30);

pub const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

pub struct Fixture {
    pub scratch: Scratch,
    pub settings: ServeSettings,
    pub database: Database,
    pub metrics: Metrics,
    pub wake: Arc<Notify>,
    end: CancellationToken,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

impl Fixture {
    /// A migrated database; nothing runs.
    pub async fn new() -> Self {
        let fixture = Self::without_schema().await;
        let options = fixture.settings.database.connect_options();
        database::migrate(&options, None).await.unwrap();
        fixture
    }

    pub async fn without_schema() -> Self {
        let scratch = local::scratch().await.unwrap_or_else(|error| panic!("{error}"));
        let settings = ServeSettings::from_environment(&scratch.environment()).unwrap();
        Self {
            database: Database::connect_lazily(&settings.database),
            scratch,
            settings,
            metrics: Metrics::default(),
            wake: Arc::default(),
            end: CancellationToken::new(),
        }
    }

    /// Stops the tasks that the test started.
    pub fn end(&self) {
        self.end.cancel();
    }

    pub fn pool(&self) -> &Pool {
        self.database.background()
    }

    pub fn publisher(&self) -> Publisher {
        Publisher::start(self.settings.broker.clone())
    }

    pub async fn connected_publisher(&self) -> Publisher {
        let publisher = self.publisher();
        tokio::time::timeout(TIMEOUT, publisher.connected())
            .await
            .unwrap();
        publisher
    }

    pub fn store(&self) -> Store {
        Store::new(self.settings.store.clone()).unwrap()
    }

    /// Starts a relay that runs until the test ends.
    pub fn start_relay(&self) -> JoinHandle<()> {
        let relay = Relay::new(
            self.database.relay().clone(),
            self.database.commit_guard().clone(),
            self.publisher(),
            Arc::clone(&self.wake),
            self.settings.relay.clone(),
            self.metrics.relay.clone(),
        );
        tokio::spawn(relay.run(self.end.clone()))
    }

    /// Starts a consumer of verdicts that runs until the test ends.
    pub fn start_consumer(&self, inbox: VerdictSource) -> JoinHandle<()> {
        let queues = &self.settings.broker.queues;
        let queue = match inbox {
            VerdictSource::Results => &queues.results,
            VerdictSource::DeadLetters => &queues.dead,
        };
        let results = ResultsConsumer::new(
            self.pool().clone(),
            self.database.commit_guard().clone(),
            self.publisher(),
            self.settings.store.output_bucket.clone(),
            queues.parked.clone(),
            inbox,
            self.metrics.results.clone(),
        );
        let consumer = Consumer::subscribe(self.settings.broker.clone(), queue, irmgard::results::PREFETCH);
        tokio::spawn(results.run(consumer, self.end.clone()))
    }

    pub async fn reconciler(&self) -> Reconciler {
        Reconciler::new(
            self.pool().clone(),
            self.database.commit_guard().clone(),
            self.connected_publisher().await,
            Arc::clone(&self.wake),
            self.settings.reconcile.clone(),
            self.metrics.clone(),
        )
    }

    pub fn key(id: i64) -> PhotoKey {
        PhotoKey {
            project: "site".parse().unwrap(),
            received_on: "2026-01-02".parse().unwrap(),
            id: id.try_into().unwrap(),
        }
    }

    pub fn original(&self, id: i64) -> ObjectLocation {
        ObjectLocation::new(
            &self.settings.store.input_bucket,
            Self::key(id).original(MediaType::Jpeg),
        )
        .unwrap()
    }

    pub fn output(&self, id: i64) -> ObjectLocation {
        ObjectLocation::new(&self.settings.store.output_bucket, Self::key(id).anonymized()).unwrap()
    }

    /// Inserts a photo as an upload does: in `received`, with its outbox row.
    pub async fn insert_received(&self) -> PhotoId {
        let id: i64 = sqlx::query_scalar("SELECT nextval('photo_id_seq')")
            .fetch_one(self.pool())
            .await
            .unwrap();
        self.insert_received_with_id(id).await
    }

    /// The same, with an id that was drawn before.
    pub async fn insert_received_with_id(&self, id: i64) -> PhotoId {
        sqlx::query(
            "WITH new AS (
                 INSERT INTO photo (id, project, name, taken_at, taken_at_source, media_type, size_bytes,
                                    width, height, sha256, original, traceparent)
                 VALUES ($1, 'site', 'camera 7.jpg', now(), 'received', 'image/jpeg', 3, 640, 480,
                         sha256(int8send($1)), $2, $3)
                 RETURNING id, traceparent)
             INSERT INTO outbox (photo_id, traceparent) SELECT id, traceparent FROM new",
        )
        .bind(id)
        .bind(self.original(id).to_string())
        .bind(TRACEPARENT)
        .execute(self.pool())
        .await
        .unwrap();
        id.try_into().unwrap()
    }

    /// Inserts a photo in `queued` without a job, queued this long ago.
    pub async fn insert_queued(&self, ago: &str) -> PhotoId {
        let id = self.insert_received().await;
        self.execute("DELETE FROM outbox WHERE photo_id = $1", id).await;
        sqlx::query("UPDATE photo SET status = 'queued', queued_at = now() - $2::interval WHERE id = $1")
            .bind(id.get())
            .bind(sqlx::postgres::types::PgInterval::try_from(parse(ago)).unwrap())
            .execute(self.pool())
            .await
            .unwrap();
        id
    }

    /// Inserts a failed photo.
    pub async fn insert_failed(&self, reason: FailureReason) -> PhotoId {
        let id = self.insert_queued("0s").await;
        let verdict = Verdict::Failed {
            reason,
            detail: "for the test".to_owned(),
        };
        self.apply(&[PhotoResult::new(id, verdict)]).await;
        id
    }

    pub async fn apply(&self, results: &[PhotoResult]) -> Vec<VerdictEffect> {
        let applied = apply_verdicts(self.pool(), &self.settings.store.output_bucket, results).await;
        applied
            .unwrap()
            .into_iter()
            .map(|applied| applied.effect)
            .collect()
    }

    pub fn anonymized(&self, id: PhotoId) -> PhotoResult {
        PhotoResult::new(
            id,
            Verdict::Anonymized {
                output: self.output(id.get()),
                size_bytes: 1234,
                width: 480,
                height: 640,
                detections: Some(vec![contract::Detection {
                    class: "person".to_owned(),
                    score: 0.75,
                    x: 1,
                    y: 2,
                    width: 30,
                    height: 40,
                }]),
                seconds: Some(0.5),
            },
        )
    }

    pub async fn execute(&self, sql: &'static str, id: PhotoId) {
        sqlx::query(sql)
            .bind(id.get())
            .execute(self.pool())
            .await
            .unwrap();
    }

    /// The number of objects in a store's input bucket, the marker included.
    pub async fn bucket_size(&self, store: &Store) -> usize {
        let bucket = &store.settings().input_bucket;
        let listed = store.client().list_objects_v2().bucket(bucket).send().await;
        listed.unwrap().contents().len()
    }

    pub async fn status(&self, id: PhotoId) -> String {
        sqlx::query_scalar("SELECT status FROM photo WHERE id = $1")
            .bind(id.get())
            .fetch_one(self.pool())
            .await
            .unwrap()
    }

    pub async fn outbox_length(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM outbox")
            .fetch_one(self.pool())
            .await
            .unwrap()
    }

    pub async fn wait_for_status(&self, id: PhotoId, status: &str) {
        eventually(&format!("photo {id} {status}"), async || {
            self.status(id).await == status
        })
        .await;
    }

    pub async fn publish(&self, queue: &str, message: Message) {
        self.connected_publisher()
            .await
            .publish(queue, &message)
            .await
            .unwrap();
    }

    /// Takes and acknowledges the next message of a queue.
    pub async fn take_message(&self, queue: &str) -> Delivery {
        let consumer = Consumer::subscribe(self.settings.broker.clone(), queue, 1);
        let delivery = tokio::time::timeout(TIMEOUT, consumer.next())
            .await
            .unwrap_or_else(|_| panic!("no message in {queue}"))
            .unwrap();
        delivery.ack().await.unwrap();
        consumer.close().await;
        delivery
    }

    /// Closes this test's database to all connections, or opens it again.
    pub async fn set_database_closed(&self, shut: bool) {
        let mut postgres = self.settings.database.clone();
        let name = std::mem::replace(&mut postgres.database, "postgres".to_owned());
        let other = Database::connect_lazily(&postgres);
        let allow = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {}", !shut);
        sqlx::query(sqlx::AssertSqlSafe(allow))
            .execute(other.background())
            .await
            .unwrap();
        if shut {
            sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1")
                .bind(name)
                .execute(other.background())
                .await
                .unwrap();
        }
        other.close().await;
    }

    /// Runs the real program to its end, with the account of the operator shell.
    pub async fn run_irmgard(&self, arguments: &[&str]) -> Output {
        run(arguments, &self.scratch.environment_for("operator-shell")).await
    }
}

/// Runs the real program to its end, with exactly this environment.
pub async fn run(arguments: &[&str], environment: &local::Environment) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_irmgard"));
    command
        .args(arguments)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    tokio::time::timeout(TIMEOUT, command.output())
        .await
        .unwrap_or_else(|_| panic!("irmgard {arguments:?} does not end"))
        .unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn parse(duration: &str) -> Duration {
    service_runtime::settings::units::parse_duration(duration).unwrap()
}
