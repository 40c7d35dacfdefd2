//! The database as requests see it: behind a breaker, within a time limit.

use std::time::Duration;

use contract::PhotoId;
use futures::future::BoxFuture;
use sqlx::PgConnection;
use tokio::time::Instant;

use crate::{
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
    ids: Ids,
}

impl Records {
    /// Every piece of a request's work in the database may take `timeout`.
    /// Needs a Tokio runtime.
    #[must_use]
    pub fn new(database: Database, breaker: Breaker, timeout: Duration) -> Self {
        let ids = Ids::start(database.requests().clone());
        Self {
            database,
            breaker,
            timeout,
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
        let drawn = match tokio::time::timeout(self.timeout, self.ids.next()).await {
            Ok(drawn) => drawn.map_err(RecordsError::from),
            Err(_) => Err(RecordsError::TimedOut),
        };
        report(permit, &drawn);
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

    /// Work on a connection that is on loan; dropped at the time limit.
    ///
    /// # Errors
    /// See [`RecordsError`].
    pub async fn on_connection<'a, T, E, W>(&self, limit: Duration, work: W) -> Result<T, E>
    where
        W: FnOnce(RequestConnection) -> BoxFuture<'a, Result<T, E>> + Send,
        E: From<RecordsError> + AsRecordsError,
    {
        let permit = self.breaker.permit().map_err(RecordsError::from)?;
        let deadline = Instant::now() + limit;
        let trace_id = telemetry::propagation::current_trace_id();
        let outcome = tokio::time::timeout_at(deadline, async {
            let connection = self
                .database
                .request(trace_id.as_deref())
                .await
                .map_err(RecordsError::from)?;
            work(connection).await
        })
        .await
        .unwrap_or_else(|_| Err(RecordsError::TimedOut.into()));
        match outcome.as_ref().err().and_then(AsRecordsError::as_records_error) {
            Some(RecordsError::TimedOut | RecordsError::Unavailable(_)) => permit.failed(),
            Some(RecordsError::Open(_)) => {}
            Some(RecordsError::Fault(_)) | None => permit.succeeded(),
        }
        outcome
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

fn report<T>(permit: Permit, outcome: &Result<T, RecordsError>) {
    match outcome {
        Err(RecordsError::TimedOut | RecordsError::Unavailable(_)) => permit.failed(),
        Err(RecordsError::Open(_)) => {}
        Ok(_) | Err(RecordsError::Fault(_)) => permit.succeeded(),
    }
}
