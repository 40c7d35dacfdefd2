//! Originals in the input bucket.

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
    progress::{Progress, Stall},
    source::Rest,
    transfer::Transfer,
};
use crate::{
    breaker::Permit,
    store::{ObjectStore, StoreError, classify},
};

/// Waits before the attempts to remove an object that belongs to no row;
/// after them it is left to `irmgard sweep`.
const REMOVAL_WAITS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(4),
    Duration::from_secs(15),
];

/// What the store did not answer it may still do: such an object is removed
/// once more after this time.
const AFTERMATH: Duration = Duration::from_secs(10);

/// How soon a wait is cut short when the process ends.
const LOOK: Duration = Duration::from_millis(200);

/// Writes and removes originals.
#[derive(Clone, Debug)]
pub struct Originals {
    store: ObjectStore,
    idle_timeout: Duration,
    background: TaskTracker,
}

impl Originals {
    /// Removals run on `background`, so that nobody waits for them.
    #[must_use]
    pub const fn new(store: ObjectStore, idle_timeout: Duration, background: TaskTracker) -> Self {
        Self {
            store,
            idle_timeout,
            background,
        }
    }

    /// The store.
    pub const fn store(&self) -> &ObjectStore {
        &self.store
    }

    /// Stores bytes that are all there.
    pub async fn put(
        &self,
        location: &ObjectLocation,
        media_type: MediaType,
        bytes: Vec<Bytes>,
    ) -> Result<(), UploadError> {
        let permit = self.store.breaker().permit().map_err(StoreError::from)?;
        let progress = Arc::new(Progress::new());
        let body = Transfer::of(bytes, Arc::clone(&progress), Arc::clone(self.store.alive()));
        self.send(location, media_type, body, &progress, permit).await
    }

    /// Stores a head and what the camera still sends, `length` bytes in all;
    /// returns their SHA-256.
    pub async fn put_streamed(
        &self,
        location: &ObjectLocation,
        media_type: MediaType,
        head: Bytes,
        rest: Rest,
        length: u64,
    ) -> Result<[u8; 32], UploadError> {
        let permit = self.store.breaker().permit().map_err(StoreError::from)?;
        let progress = Arc::new(Progress::new());
        let alive = Arc::clone(self.store.alive());
        let body = Transfer::streamed(head, rest, length, Arc::clone(&progress), alive);
        self.send(location, media_type, body, &progress, permit).await?;
        progress
            .sha256()
            .ok_or_else(|| UploadError::Internal("the store answered before it had all bytes".to_owned()))
    }

    async fn send(
        &self,
        location: &ObjectLocation,
        media_type: MediaType,
        body: Transfer,
        progress: &Progress,
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
        // The SDK's future is large, and would be moved with ours.
        let request = Box::pin(request.send());
        self.watched(progress, permit, request).await.map(drop)
    }

    /// Waits for a request whose body is a [`Transfer`], as long as it moves.
    pub async fn watched<T, E>(
        &self,
        progress: &Progress,
        permit: Permit,
        request: impl Future<Output = Result<T, SdkError<E>>>,
    ) -> Result<T, UploadError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let since = Instant::now();
        let stall = progress.stall(self.store.alive(), self.store.timeout(), self.idle_timeout);
        let answer = tokio::select! {
            biased;
            answer = request => answer.map_err(classify),
            stall = stall => match stall {
                Stall::Store => Err(self.store.stalled(since.into_std())),
                Stall::Camera => {
                    drop(permit);
                    return Err(UploadError::Idle { seconds: self.idle_timeout.as_secs() });
                }
            },
        };
        if answer.is_err()
            && let Some(failure) = progress.take_failure()
        {
            // The store is not to blame for what the camera did not send.
            drop(permit);
            return Err(failure);
        }
        self.store.report(permit, &answer);
        Ok(answer?)
    }

    /// Whether there is an object. Asked by a listing, since nothing of
    /// irmgard that serves may read an original, nor a HEAD of one.
    pub async fn is_listed(&self, location: &ObjectLocation) -> Result<bool, StoreError> {
        let request = self.store.client().list_objects_v2();
        let request = request.bucket(location.bucket()).prefix(location.key());
        match self.store.ask(request.send()).await {
            Ok(listed) => Ok(listed
                .contents()
                .iter()
                .any(|object| object.key() == Some(location.key()))),
            // It is the bucket that is not there, which says nothing about the object.
            Err(StoreError::NotFound) => Err(StoreError::Unavailable(format!(
                "there is no bucket {}",
                location.bucket()
            ))),
            Err(error) => Err(error),
        }
    }

    /// Removes an object that belongs to no row, in the background.
    pub fn remove_later(&self, location: ObjectLocation) {
        let this = self.clone();
        self.background.spawn(async move { this.remove(&location).await });
    }

    /// The same after a request whose outcome is unknown.
    pub fn remove_later_and_again(&self, location: ObjectLocation) {
        let this = self.clone();
        self.background.spawn(async move {
            this.remove(&location).await;
            this.wait(AFTERMATH).await;
            this.remove(&location).await;
        });
    }

    async fn remove(&self, location: &ObjectLocation) {
        self.persistently(location, || {
            let request = self.store.client().delete_object();
            request.bucket(location.bucket()).key(location.key()).send()
        })
        .await;
    }

    /// A wait that ends early when the process does.
    async fn wait(&self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end && !self.background.is_closed() {
            sleep_until(end.min(Instant::now() + LOOK)).await;
        }
    }

    /// Gives up a multipart upload, in the background.
    pub fn abort_later(&self, location: ObjectLocation, upload: String) {
        let this = self.clone();
        self.background.spawn(async move {
            this.persistently(&location, || {
                let request = this.store.client().abort_multipart_upload();
                let request = request.bucket(location.bucket()).key(location.key());
                request.upload_id(&upload).send()
            })
            .await;
        });
    }

    /// Tries until it is done, will never be, or is left to the sweep.
    async fn persistently<T, E, F>(&self, location: &ObjectLocation, request: impl Fn() -> F)
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        F: Future<Output = Result<T, SdkError<E>>>,
    {
        let mut error = String::new();
        for wait in REMOVAL_WAITS {
            self.wait(wait).await;
            match self.store.within(self.store.timeout(), request()).await {
                Ok(_) | Err(StoreError::NotFound) => return,
                Err(StoreError::Refused(why)) => {
                    error = why;
                    break;
                }
                Err(why) => error = why.to_string(),
            }
        }
        tracing::warn!(
            object.key = location.key(),
            error,
            "an object without a row is left to the sweep"
        );
    }
}
