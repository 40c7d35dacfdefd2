//! Looks at the outbox, the pools and the servers from time to time, for
//! metrics and for the body of the readiness probe.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use chassis::{admin::Dependency, store::Store};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    database::Database,
    metrics::Metrics,
    outbox,
    sweep::{self, newest_run},
};

/// Time between looks.
const INTERVAL: Duration = Duration::from_secs(5);

const NO_ANSWER: &str = "no answer in time";

/// How a server looked when it was last asked; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<Option<Seen>>>);

#[derive(Clone, Debug)]
struct Seen {
    at: Instant,
    error: Option<String>,
}

impl Health {
    /// For the body of the readiness probe.
    #[must_use]
    pub fn dependency(&self) -> Dependency {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match seen {
            None => Dependency {
                available: false,
                detail: "not asked yet".to_owned(),
            },
            Some(Seen { at, error: None }) => Dependency {
                available: true,
                detail: format!("answered {} s ago", at.elapsed().as_secs()),
            },
            Some(Seen {
                at,
                error: Some(error),
            }) => Dependency {
                available: false,
                detail: format!("did not answer {} s ago: {error}", at.elapsed().as_secs()),
            },
        }
    }

    /// Notes an answer or its absence.
    pub fn saw(&self, error: Option<String>) {
        let seen = Seen {
            at: Instant::now(),
            error,
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
    }
}

/// What is looked at.
#[derive(Debug)]
pub struct Observer {
    /// PostgreSQL.
    pub database: Database,
    /// The object store.
    pub store: Store,
    /// Where the numbers go.
    pub metrics: Metrics,
    /// Warns of jobs that wait too long.
    pub outbox: Mutex<outbox::Watch>,
    /// Warns where `irmgard sweep` needs a person.
    pub sweep: Mutex<sweep::Watch>,
    /// Whether there is a schema, and so an outbox. PostgreSQL logs an error for a table that is not there yet.
    pub schema: Arc<AtomicBool>,
    /// How PostgreSQL looked.
    pub database_health: Health,
    /// How the object store looked.
    pub store_health: Health,
}

impl Observer {
    /// Looks until `end` is cancelled.
    pub async fn run(self, end: CancellationToken) {
        let mut ticks = tokio::time::interval(INTERVAL);
        loop {
            tokio::select! {
                () = end.cancelled() => return,
                _ = ticks.tick() => {}
            }
            tokio::join!(
                self.look_at_database(),
                self.look_at_sweep(),
                self.look_at_store()
            );
        }
    }

    async fn look_at_database(&self) {
        self.metrics.pool("requests", self.database.requests());
        self.metrics.pool("background", self.database.background());
        self.metrics.pool("relay", self.database.relay());
        let asked = async {
            if self.schema.load(Ordering::Relaxed) {
                return waiting_jobs(&self.database).await.map(Some);
            }
            answers(&self.database).await.map(|()| None)
        };
        match timeout(INTERVAL, asked).await {
            Ok(Ok(None)) => self.database_health.saw(None),
            Ok(Ok(Some((rows, oldest)))) => {
                self.metrics.outbox.rows.set(rows);
                self.metrics.outbox.oldest_age_seconds.set(oldest);
                self.outbox
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .saw(rows, oldest);
                self.database_health.saw(None);
            }
            // The gauges keep what was last known.
            Ok(Err(error)) => self.database_health.saw(Some(error.to_string())),
            Err(_) => self.database_health.saw(Some(NO_ANSWER.to_owned())),
        }
    }

    /// Where the database does not answer, or has no schema yet, others say so.
    async fn look_at_sweep(&self) {
        if !self.schema.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(Ok(run)) = timeout(INTERVAL, newest_run(self.database.background())).await {
            self.metrics.sweep.saw(&run);
            self.sweep
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .saw(&run);
        }
    }

    async fn look_at_store(&self) {
        let bucket = &self.store.settings().input_bucket;
        let error = match timeout(INTERVAL, self.store.check_bucket(bucket)).await {
            Ok(looked) => looked.err().map(|error| error.to_string()),
            Err(_) => Some(NO_ANSWER.to_owned()),
        };
        self.store_health.saw(error);
    }
}

/// Whether the database answers at all.
async fn answers(database: &Database) -> Result<(), sqlx::Error> {
    sqlx::query("/* poll */ SELECT 1")
        .execute(database.background())
        .await
        .map(|_| ())
}

/// Number of jobs in the outbox, and age of the oldest in seconds. The
/// statement says that it is [`crate::database::POLL`].
async fn waiting_jobs(database: &Database) -> Result<(i64, f64), sqlx::Error> {
    sqlx::query_as(
        "/* poll */ SELECT count(*), coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 FROM outbox",
    )
    .fetch_one(database.background())
    .await
}
