//! The object store for requests: behind a circuit breaker, with errors classified as temporary or permanent.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_sdk_s3::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
};
use service_runtime::store::{Store, StoreError as StoreFault};

use crate::{
    breaker::{Breaker, BreakerOpen, Permit},
    liveness::Liveness,
};

#[derive(Clone, Debug)]
pub struct ObjectStore {
    store: Store,
    breaker: Breaker,
    timeout: Duration,
    input_bucket: Arc<str>,
    output_bucket: Arc<str>,
    liveness: Arc<Liveness>,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The breaker is open, so the request was not sent.
    #[error("object store: {0}")]
    Open(#[from] BreakerOpen),
    /// The store accepted no bytes, or sent no answer, in time.
    #[error("object store: no answer in time")]
    Stalled,
    /// The store cannot be reached, or cannot serve now.
    #[error("object store: {0}")]
    Unavailable(String),
    #[error("object store: no such object")]
    NotFound,
    /// The store refuses this with the current configuration.
    #[error("object store refused: {0}")]
    Refused(String),
}

impl ObjectStore {
    /// An answer may take `timeout`.
    #[must_use]
    pub fn new(store: &Store, breaker: Breaker, timeout: Duration) -> Self {
        let settings = store.settings();
        Self {
            store: store.clone(),
            breaker,
            timeout,
            input_bucket: settings.input_bucket.as_str().into(),
            output_bucket: settings.output_bucket.as_str().into(),
            liveness: Arc::new(Liveness::default()),
        }
    }

    /// The SDK's client, for requests whose progress the caller watches.
    #[must_use]
    pub const fn client(&self) -> &Client {
        self.store.upload_client()
    }

    /// Bucket of the originals.
    #[must_use]
    pub fn input_bucket(&self) -> &str {
        &self.input_bucket
    }

    /// Bucket of the anonymised photos.
    #[must_use]
    pub fn output_bucket(&self) -> &str {
        &self.output_bucket
    }

    /// How long the store may take to answer.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    #[must_use]
    pub const fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// When the store last answered any request.
    #[must_use]
    pub fn liveness(&self) -> &Arc<Liveness> {
        &self.liveness
    }

    /// Sends a small request through the breaker, within the time limit.
    pub async fn send<T, E, F>(&self, request: F) -> Result<T, StoreError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        F: Future<Output = Result<T, SdkError<E>>>,
    {
        let permit = self.breaker.permit()?;
        let answer = self.send_within(self.timeout, request).await;
        self.report(permit, &answer);
        answer
    }

    /// Sends a request within `limit`, whatever the state of the breaker.
    pub async fn send_within<T, E, F>(&self, limit: Duration, request: F) -> Result<T, StoreError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        F: Future<Output = Result<T, SdkError<E>>>,
    {
        let since = Instant::now();
        match tokio::time::timeout(limit, request).await {
            Ok(answer) => answer.map_err(classify),
            Err(_) => Err(self.timeout_error(since)),
        }
    }

    /// The error of a request that began at `since` and had no answer in time.
    pub fn timeout_error(&self, since: Instant) -> StoreError {
        self.store.report_timeout(since);
        StoreError::Stalled
    }

    /// Reports a request's result to the breaker.
    pub fn report<T>(&self, permit: Permit, answer: &Result<T, StoreError>) {
        match answer {
            Err(StoreError::Stalled | StoreError::Unavailable(_)) => permit.failed(),
            Err(StoreError::Open(_)) => {}
            Ok(_) | Err(StoreError::NotFound | StoreError::Refused(_)) => {
                self.liveness.record_answer();
                permit.succeeded();
            }
        }
    }
}

/// Classifies an error of the SDK.
pub fn classify<E>(error: SdkError<E>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match StoreFault::from(error) {
        StoreFault::NotFound => StoreError::NotFound,
        StoreFault::Unavailable(reason) => StoreError::Unavailable(reason),
        failed @ StoreFault::Failed { .. } => StoreError::Unavailable(failed.to_string()),
        refused @ (StoreFault::Refused { .. } | StoreFault::TooLarge { .. }) => {
            StoreError::Refused(refused.to_string())
        }
    }
}
