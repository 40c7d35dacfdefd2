//! The whole pipeline on this machine: servers, fault proxies, our programs, a camera with a ledger, and the invariants.

mod camera;
mod invariants;
mod ledger;
mod references;
mod servers;

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use contract::queues::Queues;
use local::{Environment, Service};
use service_runtime::{
    broker::{BrokerSettings, Publisher},
    settings::SettingsReader,
    store::{Store, StoreSettings},
};
use sqlx::{PgPool, postgres::PgPoolOptions};

pub use camera::{Camera, CameraShot, UploadResponse};
pub use ledger::{AcceptedPhoto, Ledger};
pub use references::{Reference, references};
pub use servers::{Proxies, TestServers};

/// The limit for every wait: long enough for a busy machine.
pub const TIME_LIMIT: Duration = Duration::from_secs(120);

/// Shorter timeouts of our programs, so that they notice dead servers sooner. How an outage affects a photo does not change.
const FAST_SETTINGS: [(&str, &str); 5] = [
    ("RABBITMQ_HEARTBEAT", "3s"),
    ("RABBITMQ_PUBLISH_TIMEOUT", "3s"),
    ("RABBITMQ_CONNECT_TIMEOUT", "3s"),
    ("RELAY_LEASE", "6s"),
    ("CONCURRENCY", "2"),
];

/// The number of processes, and further settings.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The number of irmgard processes.
    pub irmgards: usize,
    /// The number of anonymizer processes.
    pub workers: usize,
    /// Further variables for both programs.
    pub settings: Environment,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            irmgards: 1,
            workers: 1,
            settings: Environment::new(),
        }
    }
}

impl Setup {
    /// Adds a variable for both programs.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// A running pipeline. Dropping it ends the processes.
pub struct Pipeline {
    pub irmgards: Vec<Service>,
    /// The anonymizer processes.
    pub workers: Vec<Service>,
    /// The proxies between our programs and the servers.
    pub proxies: Proxies,
    /// PostgreSQL, without the proxy.
    pub database: PgPool,
    /// The object store, without the proxy.
    pub store: Store,
    /// RabbitMQ, without the proxy.
    pub broker: BrokerSettings,
    /// Publishes without the proxy.
    pub publisher: Publisher,
    camera: Camera,
    // Dropped last, after the users of the servers.
    pub servers: TestServers,
}

impl Pipeline {
    /// Starts a pipeline on isolated resources of the running stack.
    pub async fn start(setup: Setup) -> Result<Self> {
        let pipeline = Self::prepare(TestServers::scratch().await?, setup).await?;
        pipeline.start_services().await
    }

    /// Starts a pipeline on servers that may be killed, if [`TestServers::dedicated`] can start them.
    pub async fn start_on_dedicated_servers(setup: Setup) -> Result<Self> {
        let pipeline = Self::prepare(TestServers::dedicated().await?, setup).await?;
        pipeline.start_services().await
    }

    /// Prepares a pipeline without starting our programs.
    pub async fn prepare(servers: TestServers, setup: Setup) -> Result<Self> {
        let direct = servers.environment();
        let proxies = Proxies::start(&direct).await?;
        let mut environment = proxies.environment(&direct)?;
        environment.extend(
            FAST_SETTINGS
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        environment.extend(setup.settings);
        migrate(&environment).await?;

        let services = |name: &str, count: usize| -> Result<Vec<Service>> {
            (0..count)
                .map(|_| Service::new(name, &environment).map_err(Into::into))
                .collect()
        };
        let irmgards = services("irmgard", setup.irmgards)?;
        let workers = services("anonymizer", setup.workers)?;
        let mut reader = SettingsReader::new(&direct);
        let broker = BrokerSettings::read(&mut reader, "e2e");
        let store = StoreSettings::read(&mut reader, Duration::from_secs(20));
        reader.finish()?;
        let camera = Camera::new(irmgards.iter().map(|irmgard| irmgard.address().to_owned()))?;
        Ok(Self {
            irmgards,
            workers,
            proxies,
            database: PgPoolOptions::new()
                .max_connections(4)
                .connect(&servers.postgres_url())
                .await
                .context("PostgreSQL")?,
            store: Store::new(store)?,
            publisher: Publisher::start(broker.clone()),
            broker,
            camera,
            servers,
        })
    }

    async fn start_services(mut self) -> Result<Self> {
        for service in self.irmgards.iter_mut().chain(&mut self.workers) {
            service.spawn()?;
        }
        for service in self.irmgards.iter_mut().chain(&mut self.workers) {
            service.ready().await?;
        }
        Ok(self)
    }

    /// A camera for this pipeline. All cameras share one ledger.
    pub fn camera(&self) -> Camera {
        self.camera.clone()
    }

    pub fn ledger(&self) -> &Ledger {
        self.camera.ledger()
    }

    pub const fn queues(&self) -> &Queues {
        &self.broker.queues
    }

    /// Waits until no photo is in work.
    pub async fn wait_until_idle(&self, time_limit: Duration) -> Result<()> {
        let in_work = "select count(*) from photo where status in ('received', 'queued')";
        self.wait_for_count(in_work, 0, time_limit).await
    }

    /// Waits until at least `count` photos are anonymised.
    pub async fn wait_for_anonymized(&self, count: i64, time_limit: Duration) -> Result<()> {
        let missing =
            format!("select greatest(0, {count} - count(*)) from photo where status = 'anonymized'");
        self.wait_for_count(&missing, 0, time_limit).await
    }

    /// Waits until a query returns the expected count. Fails if the count stays the same for `time_limit`: a slow machine
    /// may need longer for many photos.
    pub async fn wait_for_count(&self, query: &str, expected: i64, time_limit: Duration) -> Result<()> {
        let mut last = None;
        let mut changed = tokio::time::Instant::now();
        loop {
            let count: Result<i64, _> = sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned()))
                .fetch_one(&self.database)
                .await;
            match count {
                Ok(count) if count == expected => return Ok(()),
                Ok(count) if last != Some(count) => {
                    last = Some(count);
                    changed = tokio::time::Instant::now();
                }
                count => ensure!(
                    changed.elapsed() < time_limit,
                    "{query}: {count:?} instead of {expected}, unchanged for {time_limit:?}\n{}",
                    self.recent_warnings()
                ),
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// The last warnings of all our programs, for the message of a failed test.
    pub fn recent_warnings(&self) -> String {
        let services = self.irmgards.iter().chain(&self.workers);
        let tail = |service: &Service| {
            let log = service.log();
            let lines: Vec<_> = log.lines().filter(|line| !line.contains(r#""info""#)).collect();
            let last = &lines[lines.len().saturating_sub(8)..];
            format!("— {}:\n{}\n", service.log_path().display(), last.join("\n"))
        };
        services.map(tail).collect()
    }
}

/// Runs `irmgard migrate`.
///
/// # Errors
/// When it fails; with its output.
pub async fn migrate(environment: &Environment) -> Result<()> {
    let output = tokio::process::Command::new(program("irmgard")?)
        .arg("migrate")
        .envs(environment)
        .stdin(Stdio::null())
        .output()
        .await
        .context("irmgard migrate")?;
    ensure!(
        output.status.success(),
        "irmgard migrate: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// The path of one of our programs, in the folder of the running program or one folder up.
pub fn program(name: &str) -> Result<std::path::PathBuf> {
    let executable = std::env::current_exe()?;
    let path = executable
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    path.with_context(|| {
        format!("{name} is not built: cargo build -p {name} --features {name}/failpoints, or make test")
    })
}
