//! A job's dealings with the object store, and whose fault it is when one of
//! them fails.

use bytes::Bytes;
use chassis::store::{Store, StoreError};
use contract::{
    ObjectLocation,
    media::{self, MediaType},
};
use tokio::time::Instant;

use super::{Stopped, worker::Run};
use crate::consume::Fault;

/// As much of a stored JPEG as is read to learn its size in pixels: the colour
/// profile, at most 1 MiB, comes before.
const HEAD_BYTES: u64 = 2 << 20;

impl Run<'_> {
    pub(super) async fn get(
        &mut self,
        location: &ObjectLocation,
    ) -> Result<Result<Bytes, StoreError>, Stopped> {
        let limit = self.worker.bench.settings.limits.bytes;
        let began = Instant::now();
        let got = self
            .patience
            .persist("get", || async {
                let got = self.worker.store.get(location, limit).await;
                self.read_or_fault(location, got.map(Bytes::from)).await
            })
            .await?;
        self.stage("get", began);
        Ok(got)
    }

    pub(super) async fn put(
        &mut self,
        location: &ObjectLocation,
        jpeg: Bytes,
    ) -> Result<Result<(), StoreError>, Stopped> {
        let began = Instant::now();
        let put = self
            .patience
            .persist("put", || async {
                let put = self
                    .worker
                    .store
                    .put(location, jpeg.clone(), MediaType::Jpeg.as_str())
                    .await;
                put.map_err(|error| self.sort_out(error))
            })
            .await?;
        self.stage("put", began);
        Ok(put)
    }

    /// The result is out: the original must go, however long that takes.
    pub(super) async fn delete(&mut self, location: &ObjectLocation) -> Result<(), Stopped> {
        let began = Instant::now();
        let deleted: Result<(), std::convert::Infallible> = self
            .patience
            .persist_to_the_end("delete", || async {
                self.worker.store.delete(location).await.map_err(passing)
            })
            .await?;
        let Ok(()) = deleted;
        self.stage("delete", began);
        Ok(())
    }

    /// Whose fault it is that an object cannot be read. Where the store fails
    /// at it, but answers for its bucket, the trouble is the object's.
    ///
    /// Only for reading: a store that is full fails at every write, and
    /// answers for its buckets all the same.
    pub(super) async fn read_or_fault<T>(
        &self,
        location: &ObjectLocation,
        read: Result<T, StoreError>,
    ) -> Result<T, Fault<StoreError>> {
        match read {
            Err(error @ StoreError::Failed { .. }) => {
                self.bucket_answers(location).await?;
                tracing::debug!(%error, "the store answers for the bucket, but fails at the object");
                Err(Fault::Own(error))
            }
            other => other.map_err(|error| self.sort_out(error)),
        }
    }

    pub(super) async fn bucket_answers(&self, location: &ObjectLocation) -> Result<(), Fault<StoreError>> {
        let asked = self.worker.store.check_bucket(location.bucket()).await;
        asked.map_err(passing)
    }

    /// Which refusals of the store are about the object itself. Rights and
    /// credentials never are: a person can set them right.
    pub(super) fn sort_out(&self, error: StoreError) -> Fault<StoreError> {
        let final_here = match &error {
            StoreError::NotFound | StoreError::TooLarge { .. } => true,
            StoreError::Unavailable(_) | StoreError::Failed { .. } => false,
            StoreError::Refused { code, .. } if code == "InvalidObjectState" => true,
            // Our keys are well-formed; what others call theirs is not known.
            StoreError::Refused { status, .. } => self.given && !matches!(status, 401 | 403),
        };
        if final_here {
            Fault::Final(error)
        } else {
            passing(error)
        }
    }
}

pub(super) fn passing<E>(error: impl std::fmt::Display) -> Fault<E> {
    Fault::Passing(error.to_string())
}

/// Size in pixels and bytes of a stored JPEG, from its beginning; `None` where
/// it is none.
pub(super) async fn look(
    store: &Store,
    location: &ObjectLocation,
) -> Result<Option<(media::Header, u64)>, StoreError> {
    let object = store
        .client()
        .get_object()
        .bucket(location.bucket())
        .key(location.key())
        .range(format!("bytes=0-{}", HEAD_BYTES - 1))
        .send()
        .await?;
    // `Content-Range: bytes 0-99/1234` (RFC 9110, 14.4); a store may also send
    // the whole object.
    let size_bytes = object
        .content_range()
        .and_then(|range| range.rsplit_once('/')?.1.parse().ok())
        .or_else(|| u64::try_from(object.content_length()?).ok())
        .unwrap_or(0);
    let head = tokio::time::timeout(store.settings().answer_timeout, object.body.collect())
        .await
        .map_err(|_| StoreError::Unavailable("no more data in time".to_owned()))?
        .map_err(|error| StoreError::Unavailable(error.to_string()))?
        .into_bytes();
    let header = media::read_header(&head).ok();
    Ok(header
        .filter(|header| header.media_type == MediaType::Jpeg)
        .map(|header| (header, size_bytes)))
}
