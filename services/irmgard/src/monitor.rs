//! Periodic checks of the dependencies, for metrics and for the readiness probe's body.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use service_runtime::{admin::DependencyState, store::Store};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    database::Database,
    metrics::Metrics,
    outbox,
    sweep::{self, latest_run},
};

/// How often the dependencies are checked.
const INTERVAL: Duration = Duration::from_secs(5);

const NO_ANSWER: &str = "no answer in time";

/// Result of the last check of one dependency. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<Option<CheckResult>>>);

#[derive(Clone, Debug)]
struct CheckResult {
    at: Instant,
    error: Option<String>,
}

impl Health {
    /// For the readiness probe's body.
    #[must_use]
    pub fn dependency(&self) -> DependencyState {
        let result = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match result {
            None => DependencyState {
                available: false,
                detail: "not checked yet".to_owned(),
            },
            Some(CheckResult { at, error: None }) => DependencyState {
                available: true,
                detail: format!("answered {} s ago", at.elapsed().as_secs()),
            },
            Some(CheckResult {
                at,
                error: Some(error),
            }) => DependencyState {
                available: false,
                detail: format!("did not answer {} s ago: {error}", at.elapsed().as_secs()),
            },
        }
    }

    /// Records a check; `error` is `None` if the dependency answered.
    pub fn record(&self, error: Option<String>) {
        let result = CheckResult {
            at: Instant::now(),
            error,
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    }
}

/// Checks PostgreSQL, the object store, the outbox and the sweep.
#[derive(Debug)]
pub struct DependencyMonitor {
    pub database: Database,
    pub store: Store,
    pub metrics: Metrics,
    pub outbox: Mutex<outbox::AgeWarning>,
    pub sweep: Mutex<sweep::SweepWarning>,
    /// Whether the schema exists. PostgreSQL logs an error for a query of a missing table.
    pub schema_exists: Arc<AtomicBool>,
    pub database_health: Health,
    pub store_health: Health,
}

impl DependencyMonitor {
    /// Checks every 5 s until `end` is cancelled.
    pub async fn run(self, end: CancellationToken) {
        let mut ticks = tokio::time::interval(INTERVAL);
        loop {
            tokio::select! {
                () = end.cancelled() => return,
                _ = ticks.tick() => {}
            }
            tokio::join!(self.check_database(), self.check_sweep(), self.check_store());
        }
    }

    async fn check_database(&self) {
        self.metrics.pool("requests", self.database.requests());
        self.metrics.pool("background", self.database.background());
        self.metrics.pool("relay", self.database.relay());
        let query = async {
            if self.schema_exists.load(Ordering::Relaxed) {
                return waiting_jobs(&self.database).await.map(Some);
            }
            ping(&self.database).await.map(|()| None)
        };
        match timeout(INTERVAL, query).await {
            Ok(Ok(None)) => self.database_health.record(None),
            Ok(Ok(Some((rows, oldest)))) => {
                self.metrics.outbox.rows.set(rows);
                self.metrics.outbox.oldest_age_seconds.set(oldest);
                self.outbox
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .update(rows, oldest);
                self.database_health.record(None);
            }
            // The outbox gauges keep their last values.
            Ok(Err(error)) => self.database_health.record(Some(error.to_string())),
            Err(_) => self.database_health.record(Some(NO_ANSWER.to_owned())),
        }
    }

    /// Errors are ignored: `check_database` reports an unavailable database.
    async fn check_sweep(&self) {
        if !self.schema_exists.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(Ok(run)) = timeout(INTERVAL, latest_run(self.database.background())).await {
            self.metrics
                .sweep
                .record(run.at, run.error.is_some(), &run.left_over);
            self.sweep
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .update(&run);
        }
    }

    async fn check_store(&self) {
        let bucket = &self.store.settings().input_bucket;
        let error = match timeout(INTERVAL, self.store.check_bucket(bucket)).await {
            Ok(result) => result.err().map(|error| error.to_string()),
            Err(_) => Some(NO_ANSWER.to_owned()),
        };
        self.store_health.record(error);
    }
}

async fn ping(database: &Database) -> Result<(), sqlx::Error> {
    sqlx::query("/* poll */ SELECT 1")
        .execute(database.background())
        .await
        .map(|_| ())
}

/// Number of jobs in the outbox, and age of the oldest in seconds. The statement begins with [`crate::database::POLL`].
async fn waiting_jobs(database: &Database) -> Result<(i64, f64), sqlx::Error> {
    sqlx::query_as(
        "/* poll */ SELECT count(*), coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 FROM outbox",
    )
    .fetch_one(database.background())
    .await
}
