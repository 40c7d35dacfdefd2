//! Classifies failed requests to the object store.

use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("no such object")]
    NotFound,
    #[error("object of {size_bytes} bytes or more is too large")]
    TooLarge {
        /// The known size; the object may be larger.
        size_bytes: u64,
    },
    /// The store did not answer, not in time, or not now. This says nothing about the object; a retry may succeed.
    #[error("object store unavailable: {0}")]
    Unavailable(String),
    /// The store reported a failure on its side (5xx). Usually a retry may succeed, as after
    /// [`StoreError::Unavailable`]. But it may concern this object only, for ever;
    /// [`Store::check_bucket`](super::Store::check_bucket) helps to find out.
    #[error("object store failed: {code} (HTTP {status})")]
    Failed {
        /// S3's error code, or `unknown`.
        code: String,
        status: u16,
    },
    /// The store refused the request: credentials, rights, or a request that it does not support. This says
    /// nothing about the object. A retry succeeds only after a person fixes the cause.
    #[error("object store refused the request: {code} (HTTP {status})")]
    Refused {
        /// S3's error code, or `unknown`.
        code: String,
        status: u16,
    },
}

impl StoreError {
    /// Whether a retry may succeed.
    #[must_use]
    pub const fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Failed { .. })
    }
}

impl<E> From<SdkError<E>> for StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    fn from(error: SdkError<E>) -> Self {
        let SdkError::ServiceError(answer) = &error else {
            return match error {
                SdkError::TimeoutError(_) => Self::Unavailable("no answer in time".to_owned()),
                other => Self::Unavailable(DisplayErrorContext(other).to_string()),
            };
        };
        let status = answer.raw().status().as_u16();
        let code = answer.err().code().unwrap_or("unknown");
        match (status, code) {
            (_, "NoSuchBucket") => Self::Unavailable("no such bucket".to_owned()),
            (_, "NoSuchKey" | "NotFound") | (404, "unknown") => Self::NotFound,
            (408 | 429, _) | (_, "RequestTimeout" | "SlowDown") => {
                Self::Unavailable(format!("{code} (HTTP {status})"))
            }
            (500.., _) => Self::Failed {
                code: code.to_owned(),
                status,
            },
            _ => Self::Refused {
                code: code.to_owned(),
                status,
            },
        }
    }
}
