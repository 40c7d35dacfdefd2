use aws_sdk_s3::{error::DisplayErrorContext, primitives::ByteStream};
use bytes::Bytes;

use super::StoreError;

/// Reads an object chunk by chunk.
#[derive(Debug)]
pub struct Download {
    pub(super) body: ByteStream,
    /// Size of the object in bytes, if the store announces it.
    pub(super) size_bytes: Option<u64>,
    pub(super) max_bytes: u64,
    pub(super) read: u64,
}

impl Download {
    /// Size of the object in bytes, if the store announces it.
    #[must_use]
    pub const fn size_bytes(&self) -> Option<u64> {
        self.size_bytes
    }

    /// The next bytes; `None` at the end of a complete object.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] beyond the limit; [`StoreError::Unavailable`] if the body pauses for too long
    /// or is incomplete.
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
