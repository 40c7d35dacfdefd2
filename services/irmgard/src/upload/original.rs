//! Stores an original.

use chrono::{DateTime, Utc};
use contract::ObjectLocation;
use sha2::{Digest, Sha256};

use super::{
    budget::MemoryPermit, error::UploadError, form::PhotoSource, head::PhotoHead, incoming::IncomingPhoto,
    multipart::MultipartUpload, original_store::OriginalStore, part::PartBuffer, receive::UploadReceiver,
};
use crate::store::StoreError;

/// Memory of a part in addition to its bytes: buffers of the connections to the camera and to the store.
const CONNECTION_BUFFER_BYTES: usize = 512 * 1024;

/// A body up to this size is sent to the store in one piece, which costs both less than streaming it.
const MAX_SINGLE_PUT_BYTES: u64 = 256 * 1024;

/// Guards an original that is being stored: removes it when dropped, unless [`OriginalGuard::keep`] was called.
pub struct OriginalGuard {
    originals: OriginalStore,
    location: Option<ObjectLocation>,
    outcome_unknown: bool,
}

impl OriginalGuard {
    /// Call this before the first byte is sent: until [`OriginalGuard::record_outcome`], the outcome is unknown.
    pub const fn new(originals: OriginalStore, location: ObjectLocation) -> Self {
        Self {
            originals,
            location: Some(location),
            outcome_unknown: true,
        }
    }

    /// Records the store's answer. If there was none, the object may still appear after its removal.
    pub const fn record_outcome<T>(&mut self, outcome: &Result<T, UploadError>) {
        self.outcome_unknown = matches!(
            outcome,
            Err(UploadError::Store(
                StoreError::Stalled | StoreError::Unavailable(_)
            ))
        );
    }

    /// Keeps the object.
    pub fn keep(mut self) {
        self.location = None;
    }
}

impl Drop for OriginalGuard {
    fn drop(&mut self) {
        match self.location.take() {
            Some(location) if self.outcome_unknown => self.originals.remove_later_twice(location),
            Some(location) => self.originals.remove_later(location),
            None => {}
        }
    }
}

/// A stored original, and what the request said about it.
pub struct StoredOriginal {
    /// SHA-256 of the photo.
    pub sha256: [u8; 32],
    /// Size of the photo in bytes.
    pub size_bytes: u64,
    /// Time from the form's field `taken_at`.
    pub taken_at: Option<DateTime<Utc>>,
    /// File name from the form.
    pub name: Option<String>,
}

impl UploadReceiver {
    /// Stores a photo whose head was read.
    pub(super) async fn store(
        &self,
        mut incoming: IncomingPhoto,
        head: PhotoHead,
        location: &ObjectLocation,
    ) -> Result<StoredOriginal, UploadError> {
        let media_type = head.header.media_type;
        let head_len = head.bytes.len() as u64;
        let permit = match (&incoming.source, incoming.length) {
            (PhotoSource::Body(_), Some(length))
                if (head_len + 1..=MAX_SINGLE_PUT_BYTES).contains(&length) =>
            {
                let bytes = usize::try_from(length).unwrap_or(usize::MAX);
                self.budget
                    .try_acquire(bytes.saturating_add(CONNECTION_BUFFER_BYTES))
            }
            _ => None,
        };
        match (incoming.source, incoming.length) {
            (PhotoSource::Body(source), Some(length)) if head_len < length && permit.is_none() => {
                // Send the head first, however slowly the rest arrives.
                drop(head.permit);
                let streamed = self.originals.put_streamed(
                    location,
                    media_type,
                    head.bytes,
                    source.into_remaining(),
                    length,
                );
                Ok(StoredOriginal {
                    sha256: streamed.await?,
                    size_bytes: length,
                    taken_at: None,
                    name: None,
                })
            }
            (source, length) => {
                incoming.source = source;
                let stored = self.store_in_parts(&mut incoming.source, length, head, permit, location);
                let (sha256, size_bytes) = stored.await?;
                let taken_at = incoming.read_remaining_fields().await?;
                Ok(StoredOriginal {
                    sha256,
                    size_bytes,
                    taken_at: taken_at.or(incoming.taken_at),
                    name: incoming.name,
                })
            }
        }
    }

    /// Stores a photo from memory: in one piece if it fits into one part, otherwise part by part. Waits for a
    /// memory permit unless `permit` is one.
    async fn store_in_parts(
        &self,
        source: &mut PhotoSource,
        length: Option<u64>,
        head: PhotoHead,
        permit: Option<MemoryPermit>,
        location: &ObjectLocation,
    ) -> Result<([u8; 32], u64), UploadError> {
        let part_bytes = self.settings.part_bytes;
        let media_type = head.header.media_type;
        // Bytes read with the head are in memory already.
        let mut more = if head.is_whole { None } else { source.next().await? };
        let _permit = match more {
            Some(_) if permit.is_none() => {
                let needed = length.and_then(|length| usize::try_from(length).ok());
                let part = needed.unwrap_or(part_bytes).min(part_bytes);
                Some(self.budget.acquire(part + CONNECTION_BUFFER_BYTES).await?)
            }
            _ => permit,
        };
        drop(head.permit);
        let mut hasher = Sha256::new();
        let mut size = 0;
        let mut part = PartBuffer::default();
        let mut upload: Option<MultipartUpload> = None;
        let mut next = Some(head.bytes);
        while let Some(chunk) = next {
            size += chunk.len() as u64;
            if size > self.settings.max_bytes {
                return Err(UploadError::TooLarge {
                    size_bytes: None,
                    limit: self.settings.max_bytes,
                });
            }
            hasher.update(&chunk);
            part.push(chunk);
            // Send a part only if more bytes follow, so that the last part is never empty.
            while part.bytes() > part_bytes {
                let upload = match &mut upload {
                    Some(upload) => upload,
                    None => {
                        upload.insert(MultipartUpload::begin(&self.originals, location, media_type).await?)
                    }
                };
                upload.upload_part(part.split_to(part_bytes)).await?;
            }
            next = match more.take() {
                Some(chunk) => Some(chunk),
                None if head.is_whole => None,
                None => source.next().await?,
            };
        }
        match upload {
            None => {
                self.originals
                    .put(location, media_type, part.into_chunks())
                    .await?
            }
            Some(mut upload) => {
                upload.upload_part(part.into_chunks()).await?;
                upload.complete().await?;
            }
        }
        Ok((hasher.finalize().into(), size))
    }
}
