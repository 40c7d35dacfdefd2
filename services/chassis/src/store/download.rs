//! An object that is read piece by piece.

use aws_sdk_s3::{error::DisplayErrorContext, primitives::ByteStream};
use bytes::Bytes;

use super::StoreError;

/// An object's bytes as they arrive.
#[derive(Debug)]
pub struct Download {
    pub(super) body: ByteStream,
    /// The object's size, where the store says it.
    pub(super) size_bytes: Option<u64>,
    pub(super) max_bytes: u64,
    pub(super) read: u64,
}

impl Download {
    /// The object's size, where the store says it.
    #[must_use]
    pub const fn size_bytes(&self) -> Option<u64> {
        self.size_bytes
    }

    /// The next bytes; `None` at the end of a whole object.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] beyond the limit; [`StoreError::Unavailable`]
    /// where the body pauses for too long, or does not come to its end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let next = self.body.try_next().await;
        let next = next.map_err(|error| StoreError::Unavailable(DisplayErrorContext(error).to_string()))?;
        let Some(chunk) = next else {
            return match self.size_bytes {
                Some(size) if size != self.read => {
                    Err(StoreError::Unavailable("the answer was cut off".to_owned()))
                }
                _ => Ok(None),
            };
        };
        self.read = self.read.saturating_add(chunk.len() as u64);
        if self.read > self.max_bytes {
            return Err(StoreError::TooLarge {
                size_bytes: self.read,
            });
        }
        Ok(Some(chunk))
    }
}
