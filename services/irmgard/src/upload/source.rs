//! The bytes of a request's body.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use chassis::pace::Pace;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout};

use super::{error::UploadError, settings::UploadSettings};

/// A request's body: bounded in bytes, in the time that the client may send
/// nothing, and in how slow it may be.
#[derive(Debug)]
pub struct Source {
    body: Body,
    limit: u64,
    max_photo_bytes: u64,
    received: u64,
    idle_timeout: Duration,
    pace: Pace,
}

/// What is left of a body, unread.
#[derive(Debug)]
pub struct Rest {
    /// The bytes.
    pub body: Body,
    /// How the client has kept up so far.
    pub pace: Pace,
}

impl Source {
    /// Reads at most `limit` bytes.
    pub const fn new(body: Body, limit: u64, settings: &UploadSettings) -> Self {
        Self {
            body,
            limit,
            max_photo_bytes: settings.max_bytes,
            received: 0,
            idle_timeout: settings.idle_timeout,
            pace: Pace::new(settings.least_rate()),
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
    /// [`UploadError::Idle`], [`UploadError::TooSlow`].
    pub async fn next(&mut self) -> Result<Option<Bytes>, UploadError> {
        loop {
            let asked = Instant::now();
            let frame =
                timeout(self.idle_timeout, self.body.frame())
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
            self.pace.moved(data.len(), asked.elapsed())?;
            self.received += data.len() as u64;
            if self.received > self.limit {
                return Err(UploadError::TooLarge {
                    size_bytes: None,
                    limit: self.max_photo_bytes,
                });
            }
            return Ok(Some(data));
        }
    }

    /// What is left of the body.
    pub fn into_rest(self) -> Rest {
        Rest {
            body: self.body,
            pace: self.pace,
        }
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
