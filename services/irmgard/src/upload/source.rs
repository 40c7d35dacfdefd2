//! The bytes of a request's body.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body_util::BodyExt;

use super::error::UploadError;

/// A request's body: bounded in bytes, and in the time that the client may
/// send nothing.
#[derive(Debug)]
pub struct Source {
    body: Body,
    limit: u64,
    received: u64,
    idle_timeout: Duration,
}

impl Source {
    /// Reads at most `limit` bytes.
    pub const fn new(body: Body, limit: u64, idle_timeout: Duration) -> Self {
        Self {
            body,
            limit,
            received: 0,
            idle_timeout,
        }
    }

    /// The body's length in bytes, where the request told it.
    pub fn length(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// The next bytes, never empty; `None` at the end.
    ///
    /// # Errors
    /// [`UploadError::TooLarge`], [`UploadError::Incomplete`],
    /// [`UploadError::Idle`].
    pub async fn next(&mut self) -> Result<Option<Bytes>, UploadError> {
        loop {
            let frame = tokio::time::timeout(self.idle_timeout, self.body.frame())
                .await
                .map_err(|_| UploadError::Idle {
                    seconds: self.idle_timeout.as_secs(),
                })?;
            let Some(frame) = frame else { return Ok(None) };
            // Trailers say nothing that is asked for.
            let Ok(data) = frame.map_err(incomplete)?.into_data() else {
                continue;
            };
            if data.is_empty() {
                continue;
            }
            self.received += data.len() as u64;
            if self.received > self.limit {
                return Err(UploadError::TooLarge { limit: self.limit });
            }
            return Ok(Some(data));
        }
    }

    /// What is left of the body, unread.
    pub fn into_body(self) -> Body {
        self.body
    }
}

/// The error of a body that broke off or is not well-formed HTTP.
pub fn incomplete(error: axum::Error) -> UploadError {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(next) = cause {
        text = next.to_string();
        cause = next.source();
    }
    UploadError::Incomplete(text)
}
