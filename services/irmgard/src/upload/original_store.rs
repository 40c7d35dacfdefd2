//! Writes and removes originals in the input bucket.

use std::{future::Future, sync::Arc, time::Duration};

use aws_sdk_s3::{
    error::{ProvideErrorMetadata, SdkError},
    primitives::{ByteStream, SdkBody},
};
use bytes::Bytes;
use contract::{ObjectLocation, media::MediaType};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::TaskTracker;

use super::{
    error::UploadError,
    limited_body::RemainingBody,
    progress::{StalledBy, TransferProgress},
    transfer::TransferBody,
};
use crate::{
    breaker::Permit,
    store::{ObjectStore, StoreError, classify},
};

/// Delays before each attempt to remove an object without a row. After the last one, `irmgard sweep` removes it.
const CLEANUP_DELAYS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(4),
    Duration::from_secs(15),
];

/// The store may still carry out a request that it did not answer. Its object is removed again after this time.
const LATE_WRITE_DELAY: Duration = Duration::from_secs(10);

/// How often a delay checks whether the process is shutting down.
const SHUTDOWN_CHECK_INTERVAL: Duration = Duration::from_millis(200);

#[derive(Clone, Debug)]
pub struct OriginalStore {
    store: ObjectStore,
    idle_timeout: Duration,
    background: TaskTracker,
}

impl OriginalStore {
    /// Removals run on `background`.
    #[must_use]
    pub const fn new(store: ObjectStore, idle_timeout: Duration, background: TaskTracker) -> Self {
        Self {
            store,
            idle_timeout,
            background,
        }
    }

    pub const fn store(&self) -> &ObjectStore {
        &self.store
    }

    /// Stores bytes that are all in memory.
    pub async fn put(
        &self,
        location: &ObjectLocation,
        media_type: MediaType,
        bytes: Vec<Bytes>,
    ) -> Result<(), UploadError> {
        let permit = self.store.breaker().permit().map_err(StoreError::from)?;
        let progress = Arc::new(TransferProgress::new());
        let body = TransferBody::from_bytes(bytes, Arc::clone(&progress), Arc::clone(self.store.liveness()));
        self.send(location, media_type, body, &progress, permit).await
    }

    /// Stores a head and the bytes that the camera still sends, `length` bytes in all. Returns their SHA-256.
    pub async fn put_streamed(
        &self,
        location: &ObjectLocation,
        media_type: MediaType,
        head: Bytes,
        remaining_body: RemainingBody,
        length: u64,
    ) -> Result<[u8; 32], UploadError> {
        let permit = self.store.breaker().permit().map_err(StoreError::from)?;
        let progress = Arc::new(TransferProgress::new());
        let liveness = Arc::clone(self.store.liveness());
        let body = TransferBody::streamed(head, remaining_body, length, Arc::clone(&progress), liveness);
        self.send(location, media_type, body, &progress, permit).await?;
        progress.sha256().ok_or_else(|| {
            UploadError::Internal("the store answered before it received all bytes".to_owned())
        })
    }

    async fn send(
        &self,
        location: &ObjectLocation,
        media_type: MediaType,
        body: TransferBody,
        progress: &TransferProgress,
        permit: Permit,
    ) -> Result<(), UploadError> {
        let request = self
            .store
            .client()
            .put_object()
            .bucket(location.bucket())
            .key(location.key())
            .content_type(media_type.as_str())
            .content_length(i64::try_from(body.remaining()).unwrap_or(i64::MAX))
            .body(ByteStream::new(SdkBody::from_body_1_x(body)));
        // Boxed: the SDK's future is large and would be moved with ours.
        let request = Box::pin(request.send());
        self.send_watched(progress, permit, request).await.map(drop)
    }

    /// Waits for a request whose body is a [`TransferBody`], as long as bytes move.
    pub async fn send_watched<T, E>(
        &self,
        progress: &TransferProgress,
        permit: Permit,
        request: impl Future<Output = Result<T, SdkError<E>>>,
    ) -> Result<T, UploadError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let since = Instant::now();
        let stall = progress.wait_for_stall(self.store.liveness(), self.store.timeout(), self.idle_timeout);
        let answer = tokio::select! {
            biased;
            answer = request => answer.map_err(classify),
            stall = stall => match stall {
                StalledBy::Store => Err(self.store.timeout_error(since.into_std())),
                StalledBy::Camera => {
                    drop(permit);
                    return Err(UploadError::Idle { seconds: self.idle_timeout.as_secs() });
                }
            },
        };
        if answer.is_err()
            && let Some(failure) = progress.take_failure()
        {
            // The camera caused the failure, so the breaker gets no report.
            drop(permit);
            return Err(failure);
        }
        self.store.report(permit, &answer);
        Ok(answer?)
    }

    /// Whether an object exists. Uses a listing: the serving process may not read an original, not even by HEAD.
    pub async fn is_listed(&self, location: &ObjectLocation) -> Result<bool, StoreError> {
        let request = self.store.client().list_objects_v2();
        let request = request.bucket(location.bucket()).prefix(location.key());
        match self.store.send(request.send()).await {
            Ok(listed) => Ok(listed
                .contents()
                .iter()
                .any(|object| object.key() == Some(location.key()))),
            // The bucket is missing, which says nothing about the object.
            Err(StoreError::NotFound) => Err(StoreError::Unavailable(format!(
                "bucket {} does not exist",
                location.bucket()
            ))),
            Err(error) => Err(error),
        }
    }

    /// Removes an object without a row, in the background.
    pub fn remove_later(&self, location: ObjectLocation) {
        let this = self.clone();
        self.background.spawn(async move { this.remove(&location).await });
    }

    /// Removes an object after a request with an unknown outcome, in the background: now, and again after 10 s.
    pub fn remove_later_twice(&self, location: ObjectLocation) {
        let this = self.clone();
        self.background.spawn(async move {
            this.remove(&location).await;
            this.sleep(LATE_WRITE_DELAY).await;
            this.remove(&location).await;
        });
    }

    async fn remove(&self, location: &ObjectLocation) {
        self.retry_cleanup(location, || {
            let request = self.store.client().delete_object();
            request.bucket(location.bucket()).key(location.key()).send()
        })
        .await;
    }

    /// Sleeps; returns early when the process shuts down.
    async fn sleep(&self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end && !self.background.is_closed() {
            sleep_until(end.min(Instant::now() + SHUTDOWN_CHECK_INTERVAL)).await;
        }
    }

    /// Aborts a multipart upload, in the background.
    pub fn abort_later(&self, location: ObjectLocation, upload: String) {
        let this = self.clone();
        self.background.spawn(async move {
            this.retry_cleanup(&location, || {
                let request = this.store.client().abort_multipart_upload();
                let request = request.bucket(location.bucket()).key(location.key());
                request.upload_id(&upload).send()
            })
            .await;
        });
    }

    /// Sends a request until it succeeds, is refused, or has used up its attempts. `irmgard sweep` cleans up the rest.
    async fn retry_cleanup<T, E, F>(&self, location: &ObjectLocation, request: impl Fn() -> F)
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        F: Future<Output = Result<T, SdkError<E>>>,
    {
        let mut error = String::new();
        for delay in CLEANUP_DELAYS {
            self.sleep(delay).await;
            match self.store.send_within(self.store.timeout(), request()).await {
                Ok(_) | Err(StoreError::NotFound) => return,
                Err(StoreError::Refused(reason)) => {
                    error = reason;
                    break;
                }
                Err(reason) => error = reason.to_string(),
            }
        }
        tracing::warn!(
            object.key = location.key(),
            error,
            "an object without a row could not be removed; `irmgard sweep` removes it later"
        );
    }
}
