//! The steps of a job that access the object store, and the classification of their errors.

use bytes::Bytes;
use contract::{
    ObjectLocation,
    media::{self, MediaType},
};
use service_runtime::store::{Store, StoreError};
use tokio::time::Instant;

use super::{Unfinished, worker::JobRun};
use crate::retry::Fault;

/// How much of a stored JPEG is read to find its size in pixels. The header comes after
/// the colour profile, which has at most 1 MiB.
const JPEG_HEADER_BYTES: u64 = 2 << 20;

impl JobRun<'_> {
    pub(super) async fn get(
        &mut self,
        location: &ObjectLocation,
    ) -> Result<Result<Bytes, StoreError>, Unfinished> {
        let max_bytes = self.worker.processor.settings.limits.bytes;
        let began = Instant::now();
        let result = self
            .policy
            .retry("get", || async {
                let result = self.worker.store.get(location, max_bytes).await;
                self.classify_read(location, result.map(Bytes::from)).await
            })
            .await?;
        self.record_stage("get", began);
        Ok(result)
    }

    pub(super) async fn put(
        &mut self,
        location: &ObjectLocation,
        jpeg: Bytes,
    ) -> Result<Result<(), StoreError>, Unfinished> {
        let began = Instant::now();
        let result = self
            .policy
            .retry("put", || async {
                let result = self
                    .worker
                    .store
                    .put(location, jpeg.clone(), MediaType::Jpeg.as_str())
                    .await;
                result.map_err(|error| self.classify_error(error))
            })
            .await?;
        self.record_stage("put", began);
        Ok(result)
    }

    /// Deletes the original. The result is already published, so every error is retried.
    pub(super) async fn delete(&mut self, location: &ObjectLocation) -> Result<(), Unfinished> {
        let began = Instant::now();
        let deleted: Result<(), std::convert::Infallible> = self
            .policy
            .retry_despite_lost_delivery("delete", || async {
                self.worker.store.delete(location).await.map_err(transient)
            })
            .await?;
        let Ok(()) = deleted;
        self.record_stage("delete", began);
        Ok(())
    }

    /// Classifies the error of a read. If the store fails at the object, but finds its
    /// bucket, the fault is specific to the job.
    ///
    /// Only for reads: a full store fails at every write, and still finds its buckets.
    pub(super) async fn classify_read<T>(
        &self,
        location: &ObjectLocation,
        result: Result<T, StoreError>,
    ) -> Result<T, Fault<StoreError>> {
        match result {
            Err(error @ StoreError::Failed { .. }) => {
                self.check_bucket(location).await?;
                tracing::debug!(%error, "the object store finds the bucket, but cannot read the object");
                Err(Fault::JobSpecific(error))
            }
            other => other.map_err(|error| self.classify_error(error)),
        }
    }

    pub(super) async fn check_bucket(&self, location: &ObjectLocation) -> Result<(), Fault<StoreError>> {
        let result = self.worker.store.check_bucket(location.bucket()).await;
        result.map_err(transient)
    }

    /// Classifies an error of the store. A refusal is permanent if it concerns the object itself. Missing rights and
    /// wrong credentials are transient: an operator can correct them.
    fn classify_error(&self, error: StoreError) -> Fault<StoreError> {
        let is_permanent = match &error {
            StoreError::NotFound | StoreError::TooLarge { .. } => true,
            StoreError::Unavailable(_) | StoreError::Failed { .. } => false,
            StoreError::Refused { code, .. } if code == "InvalidObjectState" => true,
            // irmgard's keys are valid; keys of the legacy web service may not be.
            StoreError::Refused { status, .. } => self.is_legacy && !matches!(status, 401 | 403),
        };
        if is_permanent {
            Fault::Permanent(error)
        } else {
            transient(error)
        }
    }
}

pub(super) fn transient<E>(error: impl std::fmt::Display) -> Fault<E> {
    Fault::Transient(error.to_string())
}

/// Reads the picture header and the size in bytes of a stored JPEG, from its first
/// [`JPEG_HEADER_BYTES`]. `None` if the object is not a JPEG.
pub(super) async fn read_jpeg_header(
    store: &Store,
    location: &ObjectLocation,
) -> Result<Option<(media::ImageHeader, u64)>, StoreError> {
    let object = store
        .client()
        .get_object()
        .bucket(location.bucket())
        .key(location.key())
        .range(format!("bytes=0-{}", JPEG_HEADER_BYTES - 1))
        .send()
        .await?;
    // `Content-Range: bytes 0-99/1234` (RFC 9110, 14.4). A store may ignore the range and send the whole object.
    let size_bytes = object
        .content_range()
        .and_then(|range| range.rsplit_once('/')?.1.parse().ok())
        .or_else(|| u64::try_from(object.content_length()?).ok())
        .unwrap_or(0);
    let beginning = tokio::time::timeout(store.settings().answer_timeout, object.body.collect())
        .await
        .map_err(|_| StoreError::Unavailable("no more data in time".to_owned()))?
        .map_err(|error| StoreError::Unavailable(error.to_string()))?
        .into_bytes();
    let header = media::read_header(&beginning).ok();
    Ok(header
        .filter(|header| header.media_type == MediaType::Jpeg)
        .map(|header| (header, size_bytes)))
}
