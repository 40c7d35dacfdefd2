//! The object store as requests see it: behind a breaker, its failures sorted
//! once into "later" and "never".

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_sdk_s3::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
};
use chassis::store::{Store, StoreError as Fault};

use crate::{
    alive::Alive,
    breaker::{Breaker, Open, Permit},
};

/// The object store and its two buckets.
#[derive(Clone, Debug)]
pub struct ObjectStore {
    store: Store,
    breaker: Breaker,
    timeout: Duration,
    input_bucket: Arc<str>,
    output_bucket: Arc<str>,
    alive: Arc<Alive>,
}

/// The object store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Not asked: it did not answer before.
    #[error("object store: {0}")]
    Open(#[from] Open),
    /// It took nothing, or gave no answer, in time.
    #[error("object store: no answer in time")]
    Stalled,
    /// It cannot be reached, or cannot serve now.
    #[error("object store: {0}")]
    Unavailable(String),
    /// There is no such object.
    #[error("object store: no such object")]
    NotFound,
    /// It will never do this as it is configured.
    #[error("object store refused: {0}")]
    Refused(String),
}

impl ObjectStore {
    /// The store behind a breaker; an answer may take `timeout`.
    #[must_use]
    pub fn new(store: &Store, breaker: Breaker, timeout: Duration) -> Self {
        let settings = store.settings();
        Self {
            store: store.clone(),
            breaker,
            timeout,
            input_bucket: settings.input_bucket.as_str().into(),
            output_bucket: settings.output_bucket.as_str().into(),
            alive: Arc::new(Alive::default()),
        }
    }

    /// The client, for requests whose progress is watched by the caller.
    #[must_use]
    pub const fn client(&self) -> &Client {
        self.store.upload_client()
    }

    /// Where originals are.
    #[must_use]
    pub fn input_bucket(&self) -> &str {
        &self.input_bucket
    }

    /// Where anonymised photos are.
    #[must_use]
    pub fn output_bucket(&self) -> &str {
        &self.output_bucket
    }

    /// How long the store may take for an answer.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The store's breaker.
    #[must_use]
    pub const fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// When the store last showed to anybody that it works.
    #[must_use]
    pub fn alive(&self) -> &Arc<Alive> {
        &self.alive
    }

    /// Asks for something small, within the time limit.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn ask<T, E, F>(&self, request: F) -> Result<T, StoreError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        F: Future<Output = Result<T, SdkError<E>>>,
    {
        let permit = self.breaker.permit()?;
        let answer = self.within(self.timeout, request).await;
        self.report(permit, &answer);
        answer
    }

    /// Waits for an answer for so long, whatever the breaker says.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn within<T, E, F>(&self, limit: Duration, request: F) -> Result<T, StoreError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        F: Future<Output = Result<T, SdkError<E>>>,
    {
        let since = Instant::now();
        match tokio::time::timeout(limit, request).await {
            Ok(answer) => answer.map_err(classify),
            Err(_) => Err(self.stalled(since)),
        }
    }

    /// The error of a request that was begun then and had no answer in time.
    pub fn stalled(&self, since: Instant) -> StoreError {
        self.store.report_timeout(since);
        StoreError::Stalled
    }

    /// Tells the breaker what an answer says about the store.
    pub fn report<T>(&self, permit: Permit, answer: &Result<T, StoreError>) {
        match answer {
            Err(StoreError::Stalled | StoreError::Unavailable(_)) => permit.failed(),
            Err(StoreError::Open(_)) => {}
            Ok(_) | Err(StoreError::NotFound | StoreError::Refused(_)) => {
                self.alive.now();
                permit.succeeded();
            }
        }
    }
}

/// Sorts the SDK's errors.
pub fn classify<E>(error: SdkError<E>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match Fault::from(error) {
        Fault::NotFound => StoreError::NotFound,
        Fault::Unavailable(why) => StoreError::Unavailable(why),
        failed @ Fault::Failed { .. } => StoreError::Unavailable(failed.to_string()),
        refused @ (Fault::Refused { .. } | Fault::TooLarge { .. }) => {
            StoreError::Refused(refused.to_string())
        }
    }
}
