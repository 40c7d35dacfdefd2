//! Database access for requests: behind circuit breakers, within a time limit.
//!
//! Reads and writes have a breaker each, and reads have reserved connections. If commits must wait for a
//! standby and there is none, nothing can be written, but everything can still be read.

use std::{
    future::Future,
    sync::{Arc, OnceLock},
    time::Duration,
};

use contract::PhotoId;
use futures::future::BoxFuture;
use sqlx::PgConnection;
use tokio::{sync::Semaphore, time::Instant};

use super::id_allocator::IdAllocator;
use crate::{
    breaker::{Breaker, BreakerOpen, Permit},
    database::{Database, RequestConnection, is_unavailable},
    liveness::Liveness,
};

#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// The breaker is open, so no query was sent.
    #[error("database: {0}")]
    Open(#[from] BreakerOpen),
    #[error("database: no answer in time")]
    TimedOut,
    /// The database cannot be reached, or cannot serve now.
    #[error("database: {0}")]
    Unavailable(sqlx::Error),
    /// The database answered with an error that is a bug in this program.
    #[error("database: {0}")]
    Fault(sqlx::Error),
}

impl From<sqlx::Error> for RecordsError {
    fn from(error: sqlx::Error) -> Self {
        if is_unavailable(&error) {
            Self::Unavailable(error)
        } else {
            Self::Fault(error)
        }
    }
}

/// The photo table and related tables, for requests.
#[derive(Clone, Debug)]
pub struct Records {
    database: Database,
    reads: OperationKind,
    writes: OperationKind,
    /// One permit for each connection that writes may use at the same time.
    write_permits: Arc<Semaphore>,
    timeout: Duration,
    ids: IdAllocator,
}

/// The state of either reads or writes. A successful read does not mean that a commit succeeds.
#[derive(Clone, Debug)]
struct OperationKind {
    breaker: Breaker,
    liveness: Arc<Liveness>,
}

/// When a request got its connection.
type ConnectedAt = OnceLock<Instant>;

/// One in this many request connections is reserved for reads.
const READ_SHARE: u32 = 4;

impl Records {
    /// Each piece of a request's work in the database may take `timeout`, or longer while the database
    /// answers other requests of the same kind. Needs a Tokio runtime.
    #[must_use]
    pub fn new(database: Database, reads: Breaker, writes: Breaker, timeout: Duration) -> Self {
        let ids = IdAllocator::start(database.ids().clone());
        let connections = database.requests().options().get_max_connections();
        let write_permits = connections
            .saturating_sub((connections / READ_SHARE).max(1))
            .max(1);
        let [reads, writes] = [reads, writes].map(|breaker| OperationKind {
            breaker,
            liveness: Arc::default(),
        });
        Self {
            database,
            reads,
            writes,
            write_permits: Arc::new(Semaphore::new(write_permits as usize)),
            timeout,
            ids,
        }
    }

    #[must_use]
    pub const fn write_breaker(&self) -> &Breaker {
        &self.writes.breaker
    }

    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Draws an id for a new photo.
    pub async fn next_id(&self) -> Result<PhotoId, RecordsError> {
        let kind = &self.writes;
        let permit = kind.breaker.permit()?;
        let id = async {
            self.ensure_commits_flow().await?;
            kind.retry_while_pool_is_full(self.timeout, || self.ids.next())
                .await
                .map_err(RecordsError::from)
        };
        let id = kind.liveness.wait_for_answer(self.timeout, id).await;
        let id = id.unwrap_or(Err(RecordsError::TimedOut));
        // A success is not reported to the breaker. PostgreSQL logs one draw for the next 32 (SEQ_LOG_VALS),
        // so most draws need no commit and say nothing about commits.
        if let Err(error @ (RecordsError::TimedOut | RecordsError::Unavailable(_))) = &id {
            self.record_write_timeout(error);
            permit.failed();
        }
        id
    }

    /// Runs a read on one connection, outside a transaction.
    pub async fn read<T, W>(&self, work: W) -> Result<T, RecordsError>
    where
        W: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send + 'static,
        T: Send + 'static,
    {
        let connected_at = ConnectedAt::new();
        let work = async {
            let mut connection = self.acquire(&self.reads, &connected_at).await?;
            let outcome = match connection.connection().await {
                Ok(usable) => work(usable).await,
                Err(error) => Err(error),
            };
            connection.give_back(&outcome);
            outcome.map_err(RecordsError::from)
        };
        let outcome = self.reads.run(self.timeout, work).await;
        self.mark_older_connections_stale(outcome.as_ref().err(), &connected_at);
        outcome
    }

    /// Runs a write on a connection of its own. The future is dropped after `limit`.
    pub async fn write<'a, T, E, W>(&self, limit: Duration, work: W) -> Result<T, E>
    where
        W: FnOnce(RequestConnection) -> BoxFuture<'a, Result<T, E>> + Send,
        E: From<RecordsError> + AsRecordsError,
    {
        let connected_at = ConnectedAt::new();
        let work = async {
            // The semaphore is never closed.
            let _permit = self.write_permits.acquire().await;
            self.ensure_commits_flow().await?;
            let connection = self.acquire(&self.writes, &connected_at).await?;
            work(connection).await
        };
        let outcome = self.writes.run(limit, work).await;
        let error = outcome.as_ref().err().and_then(AsRecordsError::as_records_error);
        self.mark_older_connections_stale(error, &connected_at);
        if let Some(error) = error {
            self.record_write_timeout(error);
        }
        outcome
    }

    /// Fails a write before it begins while earlier commits wait for a standby, see [`crate::database::CommitGuard`].
    async fn ensure_commits_flow(&self) -> Result<(), RecordsError> {
        let guard = self.database.commit_guard().clone();
        if !guard.is_in_doubt() {
            return Ok(());
        }
        let check =
            self.read(move |connection| Box::pin(async move { guard.commits_are_waiting(connection).await }));
        // Boxed, as below: the compiler limits how deeply futures may be nested.
        if Box::pin(check).await? {
            Err(RecordsError::TimedOut)
        } else {
            Ok(())
        }
    }

    /// Records a write that had no answer in time.
    fn record_write_timeout(&self, error: &RecordsError) {
        if matches!(error, RecordsError::TimedOut) {
            self.database.commit_guard().record_timeout();
        }
    }

    /// Marks older connections as suspect after a timeout. A client that disconnects does not count.
    fn mark_older_connections_stale(&self, error: Option<&RecordsError>, connected_at: &ConnectedAt) {
        if let (Some(RecordsError::TimedOut), Some(since)) = (error, connected_at.get()) {
            self.database.report_timeout(since.into_std());
        }
    }

    async fn acquire(
        &self,
        kind: &OperationKind,
        connected_at: &ConnectedAt,
    ) -> Result<RequestConnection, RecordsError> {
        let trace_id = telemetry::propagation::current_trace_id();
        let connection = kind
            .retry_while_pool_is_full(self.timeout, || {
                Box::pin(self.database.request(trace_id.as_deref()))
            })
            .await?;
        let _ = connected_at.set(Instant::now());
        Ok(connection)
    }
}

impl OperationKind {
    /// Runs the work within the time limit, unless the breaker is open.
    async fn run<T, E>(&self, limit: Duration, work: impl Future<Output = Result<T, E>>) -> Result<T, E>
    where
        E: From<RecordsError> + AsRecordsError,
    {
        let permit = self.breaker.permit().map_err(RecordsError::from)?;
        let outcome = self.liveness.wait_for_answer(limit, work).await;
        let outcome = outcome.unwrap_or_else(|| Err(RecordsError::TimedOut.into()));
        self.report(
            permit,
            outcome.as_ref().err().and_then(AsRecordsError::as_records_error),
        );
        outcome
    }

    /// Retries while the pool has no free connection and the time limit allows. A busy server, unlike a
    /// server that is down, frees connections.
    async fn retry_while_pool_is_full<T, F>(
        &self,
        limit: Duration,
        attempt: impl Fn() -> F,
    ) -> Result<T, sqlx::Error>
    where
        F: Future<Output = Result<T, sqlx::Error>>,
    {
        let started = Instant::now();
        loop {
            match attempt().await {
                Err(sqlx::Error::PoolTimedOut) if Instant::now() < self.liveness.deadline(started, limit) => {
                }
                outcome => return outcome,
            }
        }
    }

    /// Reports a result to the breaker.
    fn report(&self, permit: Permit, error: Option<&RecordsError>) {
        match error {
            Some(RecordsError::TimedOut | RecordsError::Unavailable(_)) => permit.failed(),
            Some(RecordsError::Open(_)) => {}
            Some(RecordsError::Fault(_)) | None => {
                self.liveness.record_answer();
                permit.succeeded();
            }
        }
    }
}

/// Extracts the database's part of an error, for the breaker.
pub trait AsRecordsError {
    fn as_records_error(&self) -> Option<&RecordsError>;
}

impl AsRecordsError for RecordsError {
    fn as_records_error(&self) -> Option<&RecordsError> {
        Some(self)
    }
}
