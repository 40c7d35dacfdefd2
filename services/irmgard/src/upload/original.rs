//! The way of an original into the store.

use chrono::{DateTime, Utc};
use contract::ObjectLocation;
use sha2::{Digest, Sha256};

use super::{
    budget::Share, error::UploadError, form::Chunks, head::Head, incoming::Incoming,
    multipart::MultipartUpload, objects::Originals, part::Part, receive::Receiver,
};
use crate::store::StoreError;

/// What a part takes beside its bytes: the buffers of the connections from the
/// camera and to the store.
const BUFFER_BYTES: usize = 512 * 1024;

/// A body of up to so many bytes is gathered and handed to the store at once,
/// which costs both less than piece by piece.
const GATHERED_BYTES: u64 = 256 * 1024;

/// An original that is being stored. Dropped, it is removed, unless
/// [`Stored::keep`] was called.
pub struct Stored {
    originals: Originals,
    location: Option<ObjectLocation>,
    doubtful: bool,
}

impl Stored {
    /// Before the first byte is sent: what becomes of it is not known then.
    pub const fn begin(originals: Originals, location: ObjectLocation) -> Self {
        Self {
            originals,
            location: Some(location),
            doubtful: true,
        }
    }

    /// The store has answered, or nothing is known even now: then the object
    /// may still appear after it was removed.
    pub const fn answered<T>(&mut self, outcome: &Result<T, UploadError>) {
        self.doubtful = matches!(
            outcome,
            Err(UploadError::Store(
                StoreError::Stalled | StoreError::Unavailable(_)
            ))
        );
    }

    /// The object stays.
    pub fn keep(mut self) {
        self.location = None;
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        match self.location.take() {
            Some(location) if self.doubtful => self.originals.remove_later_and_again(location),
            Some(location) => self.originals.remove_later(location),
            None => {}
        }
    }
}

/// What the store has, and what the request told about it on the way.
pub struct Kept {
    /// Digest of the photo's bytes.
    pub sha256: [u8; 32],
    /// The photo's bytes.
    pub size_bytes: u64,
    /// When the photo was taken, where a field of the form told.
    pub taken_at: Option<DateTime<Utc>>,
    /// The file name, where the form told.
    pub name: Option<String>,
}

impl Receiver {
    /// Stores a photo whose head was read.
    pub(super) async fn store(
        &self,
        mut incoming: Incoming,
        head: Head,
        to: &ObjectLocation,
    ) -> Result<Kept, UploadError> {
        let media_type = head.header.media_type;
        let held = head.bytes.len() as u64;
        let gathered = match (&incoming.chunks, incoming.length) {
            (Chunks::Body(_), Some(length)) if (held + 1..=GATHERED_BYTES).contains(&length) => {
                let bytes = usize::try_from(length).unwrap_or(usize::MAX);
                self.budget.share_now(bytes.saturating_add(BUFFER_BYTES))
            }
            _ => None,
        };
        match (incoming.chunks, incoming.length) {
            (Chunks::Body(source), Some(length)) if held < length && gathered.is_none() => {
                // The head goes first, however slowly the rest comes.
                drop(head.share);
                let streamed =
                    self.originals
                        .put_streamed(to, media_type, head.bytes, source.into_rest(), length);
                Ok(Kept {
                    sha256: streamed.await?,
                    size_bytes: length,
                    taken_at: None,
                    name: None,
                })
            }
            (chunks, length) => {
                incoming.chunks = chunks;
                let stored = self.store_in_parts(&mut incoming.chunks, length, head, gathered, to);
                let (sha256, size_bytes) = stored.await?;
                let taken_at = incoming.rest_of_form().await?;
                Ok(Kept {
                    sha256,
                    size_bytes,
                    taken_at: taken_at.or(incoming.taken_at),
                    name: incoming.name,
                })
            }
        }
    }

    /// Stores a photo from memory: whole if it fits into one part, else part
    /// by part. `share` is waited for where it was not taken yet.
    async fn store_in_parts(
        &self,
        chunks: &mut Chunks,
        length: Option<u64>,
        head: Head,
        share: Option<Share>,
        to: &ObjectLocation,
    ) -> Result<([u8; 32], u64), UploadError> {
        let part_bytes = self.settings.part_bytes;
        let media_type = head.header.media_type;
        // What was read with the head is in memory already.
        let mut more = if head.whole { None } else { chunks.next().await? };
        let _share = match more {
            Some(_) if share.is_none() => {
                let needed = length.and_then(|length| usize::try_from(length).ok());
                let part = needed.unwrap_or(part_bytes).min(part_bytes);
                Some(self.budget.share(part + BUFFER_BYTES).await?)
            }
            _ => share,
        };
        drop(head.share);
        let mut hasher = Sha256::new();
        let mut size = 0;
        let mut part = Part::default();
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
            // Sent only when more is there: the last part is never empty.
            while part.bytes() > part_bytes {
                let upload = match &mut upload {
                    Some(upload) => upload,
                    None => upload.insert(MultipartUpload::begin(&self.originals, to, media_type).await?),
                };
                upload.part(part.split_to(part_bytes)).await?;
            }
            next = match more.take() {
                Some(chunk) => Some(chunk),
                None if head.whole => None,
                None => chunks.next().await?,
            };
        }
        match upload {
            None => self.originals.put(to, media_type, part.into_chunks()).await?,
            Some(mut upload) => {
                upload.part(part.into_chunks()).await?;
                upload.complete().await?;
            }
        }
        Ok((hasher.finalize().into(), size))
    }
}
