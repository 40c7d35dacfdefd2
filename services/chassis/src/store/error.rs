//! What a failed request to the object store means, decided once.

use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

/// A request to the object store failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no such object.
    #[error("no such object")]
    NotFound,
    /// The object is larger than the caller allows.
    #[error("object of {size_bytes} bytes or more is too large")]
    TooLarge {
        /// What is known of its size.
        size_bytes: u64,
    },
    /// The store did not answer, not in time, or not now. It says nothing
    /// about the object; another attempt may succeed.
    #[error("object store unavailable: {0}")]
    Unavailable(String),
    /// The store answered that something went wrong on its side (5xx). Mostly
    /// that is as [`StoreError::Unavailable`]; but it may be this object only,
    /// for ever: [`Store::check_bucket`](super::Store::check_bucket) helps to
    /// tell.
    #[error("object store failed: {code} (HTTP {status})")]
    Failed {
        /// S3's error code, or `unknown`.
        code: String,
        /// HTTP status.
        status: u16,
    },
    /// The store answered that it will not: credentials, rights, or a
    /// request that it does not understand. It says nothing about the object
    /// either; another attempt succeeds only after a person has done
    /// something.
    #[error("object store refused the request: {code} (HTTP {status})")]
    Refused {
        /// S3's error code, or `unknown`.
        code: String,
        /// HTTP status.
        status: u16,
    },
}

impl StoreError {
    /// Whether waiting may help.
    #[must_use]
    pub const fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Failed { .. })
    }
}

/// Reads the SDK's error.
pub(super) fn classify<E>(error: SdkError<E>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    StoreError::from(error)
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
            (_, "NoSuchBucket") => Self::Unavailable("there is no such bucket".to_owned()),
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
