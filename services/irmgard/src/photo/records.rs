//! The database as requests see it: behind breakers, within a time limit.
//!
//! Reads and writes have a breaker each, and writes get no more than a share
//! of the connections: where a commit must wait for a standby and there is
//! none, nothing can be written, and everything can still be read.

use std::{
    future::Future,
    sync::{Arc, OnceLock},
    time::Duration,
};

use contract::PhotoId;
use futures::future::BoxFuture;
use sqlx::PgConnection;
use tokio::{sync::Semaphore, time::Instant};

use crate::{
    alive::Alive,
    breaker::{Breaker, Open, Permit},
    database::{Database, RequestConnection, is_unavailable},
    upload::Ids,
};

/// The database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// Not asked: it did not answer before.
    #[error("database: {0}")]
    Open(#[from] Open),
    /// No answer in time.
    #[error("database: no answer in time")]
    TimedOut,
    /// It cannot be reached, or cannot serve now.
    #[error("database: {0}")]
    Unavailable(sqlx::Error),
    /// It answered with an error that is a mistake of ours.
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

/// The photo table and its neighbours, for requests.
#[derive(Clone, Debug)]
pub struct Records {
    database: Database,
    reads: Side,
    writes: Side,
    /// One for each connection that writes may have at the same time.
    places: Arc<Semaphore>,
    timeout: Duration,
    ids: Ids,
}

/// What is known about the database from the requests of one kind. A read
/// that is answered does not say that a commit will be.
#[derive(Clone, Debug)]
struct Side {
    breaker: Breaker,
    alive: Arc<Alive>,
}

/// Since when a request has had its connection.
type Connected = OnceLock<Instant>;

/// Of so many connections for requests one is kept for reads.
const READS: u32 = 4;

impl Records {
    /// Every piece of a request's work in the database may take `timeout`,
    /// and longer while the database answers others of its kind.
    /// Needs a Tokio runtime.
    #[must_use]
    pub fn new(database: Database, reads: Breaker, writes: Breaker, timeout: Duration) -> Self {
        let ids = Ids::start(database.ids().clone());
        let connections = database.requests().options().get_max_connections();
        let places = connections.saturating_sub((connections / READS).max(1)).max(1);
        let [reads, writes] = [reads, writes].map(|breaker| Side {
            breaker,
            alive: Arc::default(),
        });
        Self {
            database,
            reads,
            writes,
            places: Arc::new(Semaphore::new(places as usize)),
            timeout,
            ids,
        }
    }

    /// The breaker of what is written.
    #[must_use]
    pub const fn writes(&self) -> &Breaker {
        &self.writes.breaker
    }

    /// How long the database may take.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The id of a photo to come.
    ///
    /// # Errors
    /// See [`RecordsError`].
    pub async fn next_id(&self) -> Result<PhotoId, RecordsError> {
        let side = &self.writes;
        let permit = side.breaker.permit()?;
        let drawn = async {
            self.not_in_vain().await?;
            side.patiently(self.timeout, || self.ids.next())
                .await
                .map_err(RecordsError::from)
        };
        let drawn = side.alive.within(self.timeout, drawn).await;
        let drawn = drawn.unwrap_or(Err(RecordsError::TimedOut));
        // PostgreSQL writes down one draw for the next 32 (SEQ_LOG_VALS): most are answered where no commit is, and say nothing of those.
        if let Err(error @ (RecordsError::TimedOut | RecordsError::Unavailable(_))) = &drawn {
            self.note(error);
            permit.failed();
        }
        drawn
    }

    /// Reads, on one connection, outside a transaction.
    ///
    /// # Errors
    /// See [`RecordsError`].
    pub async fn read<T, W>(&self, work: W) -> Result<T, RecordsError>
    where
        W: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send + 'static,
        T: Send + 'static,
    {
        let connected = Connected::new();
        let work = async {
            let mut connection = self.connection(&self.reads, &connected).await?;
            let outcome = match connection.connection().await {
                Ok(usable) => work(usable).await,
                Err(error) => Err(error),
            };
            connection.give_back(&outcome);
            outcome.map_err(RecordsError::from)
        };
        let outcome = self.reads.within(self.timeout, work).await;
        self.suspect(outcome.as_ref().err(), &connected);
        outcome
    }

    /// Writes, on a connection that is on loan; dropped when the time is over.
    ///
    /// # Errors
    /// See [`RecordsError`].
    pub async fn write<'a, T, E, W>(&self, limit: Duration, work: W) -> Result<T, E>
    where
        W: FnOnce(RequestConnection) -> BoxFuture<'a, Result<T, E>> + Send,
        E: From<RecordsError> + AsRecordsError,
    {
        let connected = Connected::new();
        let work = async {
            // Never closed.
            let _place = self.places.acquire().await;
            self.not_in_vain().await?;
            let connection = self.connection(&self.writes, &connected).await?;
            work(connection).await
        };
        let outcome = self.writes.within(limit, work).await;
        let error = outcome.as_ref().err().and_then(AsRecordsError::as_records_error);
        self.suspect(error, &connected);
        if let Some(error) = error {
            self.note(error);
        }
        outcome
    }

    /// Ends a write before it begins while commits of ours wait in the server: see [`crate::database::Commits`].
    async fn not_in_vain(&self) -> Result<(), RecordsError> {
        let commits = self.database.commits().clone();
        if !commits.in_doubt() {
            return Ok(());
        }
        let wait = self.read(move |connection| Box::pin(async move { commits.wait(connection).await }));
        // In a box, as below: the compiler lays out every future within another one, to a limited depth.
        if Box::pin(wait).await? {
            Err(RecordsError::TimedOut)
        } else {
            Ok(())
        }
    }

    /// Notes a write that was not answered in time.
    fn note(&self, error: &RecordsError) {
        if matches!(error, RecordsError::TimedOut) {
            self.database.commits().give_up();
        }
    }

    /// Marks older connections as suspect after a timeout. A client that disconnects does not count.
    fn suspect(&self, error: Option<&RecordsError>, connected: &Connected) {
        if let (Some(RecordsError::TimedOut), Some(since)) = (error, connected.get()) {
            self.database.report_timeout(since.into_std());
        }
    }

    async fn connection(
        &self,
        side: &Side,
        connected: &Connected,
    ) -> Result<RequestConnection, RecordsError> {
        let trace_id = telemetry::propagation::current_trace_id();
        let connection = side
            .patiently(self.timeout, || {
                Box::pin(self.database.request(trace_id.as_deref()))
            })
            .await?;
        let _ = connected.set(Instant::now());
        Ok(connection)
    }
}

impl Side {
    /// Does it unless the database is taken for down, within the time limit.
    async fn within<T, E>(&self, limit: Duration, work: impl Future<Output = Result<T, E>>) -> Result<T, E>
    where
        E: From<RecordsError> + AsRecordsError,
    {
        let permit = self.breaker.permit().map_err(RecordsError::from)?;
        let outcome = self.alive.within(limit, work).await;
        let outcome = outcome.unwrap_or_else(|| Err(RecordsError::TimedOut.into()));
        self.report(
            permit,
            outcome.as_ref().err().and_then(AsRecordsError::as_records_error),
        );
        outcome
    }

    /// Stands in the queue for a connection anew, as long as the time limit
    /// around allows: with a server that is busy, not down, a turn comes.
    async fn patiently<T, F>(&self, limit: Duration, attempt: impl Fn() -> F) -> Result<T, sqlx::Error>
    where
        F: Future<Output = Result<T, sqlx::Error>>,
    {
        let began = Instant::now();
        loop {
            match attempt().await {
                Err(sqlx::Error::PoolTimedOut) if Instant::now() < self.alive.deadline(began, limit) => {}
                outcome => return outcome,
            }
        }
    }

    /// Tells the breaker what an outcome says about the database.
    fn report(&self, permit: Permit, error: Option<&RecordsError>) {
        match error {
            Some(RecordsError::TimedOut | RecordsError::Unavailable(_)) => permit.failed(),
            Some(RecordsError::Open(_)) => {}
            Some(RecordsError::Fault(_)) | None => {
                self.alive.now();
                permit.succeeded();
            }
        }
    }
}

/// What an error says about the database, for the breaker.
pub trait AsRecordsError {
    /// The database's part in it, if it has any.
    fn as_records_error(&self) -> Option<&RecordsError>;
}

impl AsRecordsError for RecordsError {
    fn as_records_error(&self) -> Option<&RecordsError> {
        Some(self)
    }
}
