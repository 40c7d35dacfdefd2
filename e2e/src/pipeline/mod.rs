//! The whole pipeline: servers, proxies before them, our programs, a camera
//! that keeps a ledger, and the invariants.

mod camera;
mod invariants;
mod ledger;
mod place;
mod reference;

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use chassis::{
    broker::{BrokerSettings, Publisher},
    settings::Reader,
    store::{Store, StoreSettings},
};
use contract::queues::Queues;
use local::{Environment, Service};
use sqlx::{PgPool, postgres::PgPoolOptions};

pub use camera::{Answer, Camera, Shot};
pub use ledger::{Answered, Ledger};
pub use place::{Place, Proxies};
pub use reference::{Reference, references};

/// Long enough for a busy machine; a test waits for a condition, not for this.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Our programs' settings that make a test quicker: what has died is noticed
/// sooner. What an outage does to a photo stays as delivered.
const QUICKER: [(&str, &str); 5] = [
    ("RABBITMQ_HEARTBEAT", "3s"),
    ("RABBITMQ_PUBLISH_TIMEOUT", "3s"),
    ("RABBITMQ_CONNECT_TIMEOUT", "3s"),
    ("RELAY_LEASE", "6s"),
    ("CONCURRENCY", "2"),
];

/// How many processes, and what they are told beside where the servers are.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Number of irmgard processes.
    pub irmgards: usize,
    /// Number of anonymizer processes.
    pub workers: usize,
    /// More variables for both programs.
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
    /// With one more variable for both programs.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// A pipeline. Dropping it ends its processes.
pub struct Pipeline {
    /// irmgard processes.
    pub irmgards: Vec<Service>,
    /// anonymizer processes.
    pub workers: Vec<Service>,
    /// What our programs reach the servers through.
    pub proxies: Proxies,
    /// PostgreSQL, directly.
    pub database: PgPool,
    /// The object store, directly.
    pub store: Store,
    /// RabbitMQ, directly.
    pub broker: BrokerSettings,
    /// Publishes directly.
    pub publisher: Publisher,
    camera: Camera,
    // Last: the servers go after what uses them.
    /// Where it all happens.
    pub place: Place,
}

impl Pipeline {
    /// Starts everything in a place of its own inside the running stack.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn start(setup: Setup) -> Result<Self> {
        let pipeline = Self::prepare(Place::scratch().await?, setup).await?;
        pipeline.started().await
    }

    /// Starts everything on servers that may be killed, where [`Place::own`]
    /// finds such.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn start_on_own_servers(setup: Setup) -> Result<Self> {
        let pipeline = Self::prepare(Place::own().await?, setup).await?;
        pipeline.started().await
    }

    /// Everything but our running programs.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn prepare(place: Place, setup: Setup) -> Result<Self> {
        let direct = place.environment();
        let proxies = Proxies::before(&direct).await?;
        let mut environment = proxies.environment(&direct)?;
        environment.extend(
            QUICKER
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
        let mut reader = Reader::new(&direct);
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
                .connect(&place.postgres_url())
                .await
                .context("PostgreSQL")?,
            store: Store::new(store)?,
            publisher: Publisher::start(broker.clone()),
            broker,
            camera,
            place,
        })
    }

    async fn started(mut self) -> Result<Self> {
        for service in self.irmgards.iter_mut().chain(&mut self.workers) {
            service.spawn()?;
        }
        for service in self.irmgards.iter_mut().chain(&mut self.workers) {
            service.ready().await?;
        }
        Ok(self)
    }

    /// A camera that posts to this pipeline; clones share its ledger.
    #[must_use]
    pub fn camera(&self) -> Camera {
        self.camera.clone()
    }

    /// What was posted and answered.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        self.camera.ledger()
    }

    /// The queues' names.
    #[must_use]
    pub const fn queues(&self) -> &Queues {
        &self.broker.queues
    }

    /// Waits until no photo is on its way.
    ///
    /// # Errors
    /// When some still are after `patience`.
    pub async fn settled(&self, patience: Duration) -> Result<()> {
        let on_their_way = "select count(*) from photo where status in ('received', 'queued')";
        self.until(on_their_way, 0, patience).await
    }

    /// Waits until at least so many photos are anonymised.
    ///
    /// # Errors
    /// When there are fewer after `patience`.
    pub async fn anonymized(&self, count: i64, patience: Duration) -> Result<()> {
        let short = format!("select greatest(0, {count} - count(*)) from photo where status = 'anonymized'");
        self.until(&short, 0, patience).await
    }

    /// Waits until a count is what it must be.
    ///
    /// # Errors
    /// When it is not after `patience`.
    pub async fn until(&self, query: &str, expected: i64, patience: Duration) -> Result<()> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let seen: Result<i64, _> = sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned()))
                .fetch_one(&self.database)
                .await;
            match seen {
                Ok(seen) if seen == expected => return Ok(()),
                seen => ensure!(
                    tokio::time::Instant::now() < deadline,
                    "{query}: {seen:?} instead of {expected} after {patience:?}\n{}",
                    self.tails()
                ),
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// The last warnings of all our programs, for a failure's message.
    #[must_use]
    pub fn tails(&self) -> String {
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

async fn migrate(environment: &Environment) -> Result<()> {
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

/// One of our programs, beside the running test.
///
/// # Errors
/// When it is not built.
pub fn program(name: &str) -> Result<std::path::PathBuf> {
    let here = std::env::current_exe()?;
    let path = here
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    path.with_context(|| {
        format!("{name} is not built: cargo build -p {name} --features {name}/failpoints, or make test")
    })
}
