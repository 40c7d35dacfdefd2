//! The database as requests see it: behind a breaker, within a time limit.

use std::{future::Future, sync::Arc, time::Duration};

use contract::PhotoId;
use futures::future::BoxFuture;
use sqlx::PgConnection;
use tokio::time::Instant;

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
    breaker: Breaker,
    timeout: Duration,
    alive: Arc<Alive>,
    ids: Ids,
}

impl Records {
    /// Every piece of a request's work in the database may take `timeout`,
    /// and longer while the database answers others.
    /// Needs a Tokio runtime.
    #[must_use]
    pub fn new(database: Database, breaker: Breaker, timeout: Duration) -> Self {
        let ids = Ids::start(database.ids().clone());
        Self {
            database,
            breaker,
            timeout,
            alive: Arc::default(),
            ids,
        }
    }

    /// The database's breaker.
    #[must_use]
    pub const fn breaker(&self) -> &Breaker {
        &self.breaker
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
        let permit = self.breaker.permit()?;
        let drawn = async {
            self.patiently(|| self.ids.next())
                .await
                .map_err(RecordsError::from)
        };
        let drawn = self.alive.within(self.timeout, drawn).await;
        let drawn = drawn.unwrap_or(Err(RecordsError::TimedOut));
        self.report(permit, drawn.as_ref().err());
        drawn
    }

    /// Work on one connection, outside a transaction.
    ///
    /// # Errors
    /// See [`RecordsError`].
    pub async fn read<T, W>(&self, work: W) -> Result<T, RecordsError>
    where
        W: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send + 'static,
        T: Send + 'static,
    {
        self.on_connection(self.timeout, |mut connection| {
            Box::pin(async move {
                let outcome = match connection.connection().await {
                    Ok(usable) => work(usable).await,
                    Err(error) => Err(error),
                };
                connection.give_back(&outcome);
                outcome.map_err(RecordsError::from)
            })
        })
        .await
    }

    /// Work on a connection that is on loan; dropped when the time is over.
    ///
    /// # Errors
    /// See [`RecordsError`].
    pub async fn on_connection<'a, T, E, W>(&self, limit: Duration, work: W) -> Result<T, E>
    where
        W: FnOnce(RequestConnection) -> BoxFuture<'a, Result<T, E>> + Send,
        E: From<RecordsError> + AsRecordsError,
    {
        let permit = self.breaker.permit().map_err(RecordsError::from)?;
        let trace_id = telemetry::propagation::current_trace_id();
        let outcome = self.alive.within(limit, async {
            let connection = self
                .patiently(|| self.database.request(trace_id.as_deref()))
                .await
                .map_err(RecordsError::from)?;
            work(connection).await
        });
        let outcome = outcome
            .await
            .unwrap_or_else(|| Err(RecordsError::TimedOut.into()));
        self.report(
            permit,
            outcome.as_ref().err().and_then(AsRecordsError::as_records_error),
        );
        outcome
    }

    /// Stands in the queue for a connection anew, as long as the time limit
    /// around allows: with a server that is busy, not down, a turn comes.
    async fn patiently<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, sqlx::Error>
    where
        F: Future<Output = Result<T, sqlx::Error>>,
    {
        let began = Instant::now();
        loop {
            match attempt().await {
                Err(sqlx::Error::PoolTimedOut)
                    if Instant::now() < self.alive.deadline(began, self.timeout) => {}
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
