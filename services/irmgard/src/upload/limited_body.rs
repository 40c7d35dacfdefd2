use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body_util::BodyExt;
use service_runtime::min_rate::RateMeter;
use tokio::time::{Instant, timeout};

use super::{error::UploadError, settings::UploadSettings};

/// A request's body with limits on its size, on pauses and on the minimum rate.
#[derive(Debug)]
pub struct LimitedBody {
    body: Body,
    limit: u64,
    max_photo_bytes: u64,
    received: u64,
    idle_timeout: Duration,
    meter: RateMeter,
}

/// The unread rest of a body.
#[derive(Debug)]
pub struct RemainingBody {
    pub body: Body,
    /// Rate of the client so far.
    pub meter: RateMeter,
}

impl LimitedBody {
    /// Reads at most `limit` bytes.
    pub const fn new(body: Body, limit: u64, settings: &UploadSettings) -> Self {
        Self {
            body,
            limit,
            max_photo_bytes: settings.max_bytes,
            received: 0,
            idle_timeout: settings.idle_timeout,
            meter: RateMeter::new(settings.min_rate()),
        }
    }

    /// Size of the body in bytes, if the request announces it.
    pub fn length(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// The next bytes, never empty; `None` at the end.
    ///
    /// # Errors
    /// [`UploadError::TooLarge`], [`UploadError::Incomplete`], [`UploadError::Idle`], [`UploadError::TooSlow`].
    pub async fn next(&mut self) -> Result<Option<Bytes>, UploadError> {
        loop {
            let started = Instant::now();
            let frame =
                timeout(self.idle_timeout, self.body.frame())
                    .await
                    .map_err(|_| UploadError::Idle {
                        seconds: self.idle_timeout.as_secs(),
                    })?;
            let Some(frame) = frame else { return Ok(None) };
            // Ignore trailers.
            let Ok(data) = frame.map_err(incomplete_body)?.into_data() else {
                continue;
            };
            if data.is_empty() {
                continue;
            }
            self.meter.record(data.len(), started.elapsed())?;
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

    /// The unread rest of the body.
    pub fn into_remaining(self) -> RemainingBody {
        RemainingBody {
            body: self.body,
            meter: self.meter,
        }
    }
}

/// The error of a body that was cut off or is malformed HTTP.
pub fn incomplete_body(error: axum::Error) -> UploadError {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(next) = cause {
        text = next.to_string();
        cause = next.source();
    }
    UploadError::Incomplete(text)
}
