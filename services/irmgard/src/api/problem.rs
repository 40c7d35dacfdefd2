//! Error responses: `application/problem+json` (RFC 9457) with a stable code.
//!
//! The client gets the code, a title and what it can do. Internal causes go to the request's log line only.

use std::{borrow::Cow, time::Duration};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use contract::media::MAX_SIDE;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    photo::{RecordsError, Status},
    store::StoreError,
    upload::{FormError, UploadError},
};

/// Reason of a refusal: the token is for another project.
pub const WRONG_PROJECT: &str = "wrong-project";

/// Default of `Retry-After`.
const RETRY_AFTER: Duration = Duration::from_secs(2);

macro_rules! codes {
    ($($variant:ident $code:literal $status:ident $title:literal)*) => {
        /// What went wrong: a stable code for programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $title] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code in bodies, logs and metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The HTTP status.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            /// The meaning, for people.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

codes! {
    InvalidProject "invalid-project" BAD_REQUEST "The project's name is not allowed"
    InvalidQuery "invalid-query" BAD_REQUEST "A query parameter cannot be read"
    InvalidTakenAt "invalid-taken-at" BAD_REQUEST "taken_at is not an RFC 3339 time"
    InvalidIdempotencyKey "invalid-idempotency-key" BAD_REQUEST "The Idempotency-Key cannot be used"
    MalformedForm "malformed-form" BAD_REQUEST "The form cannot be read"
    ImageMissing "image-missing" BAD_REQUEST "The form has no file field image"
    SeveralImages "several-images" BAD_REQUEST "The form has more than one field image"
    IncompleteBody "incomplete-body" BAD_REQUEST "The body was incomplete"
    Unauthenticated "unauthenticated" UNAUTHORIZED "A valid bearer token is needed"
    Forbidden "forbidden" FORBIDDEN "The token does not allow this"
    NotFound "not-found" NOT_FOUND "No such path"
    PhotoUnknown "photo-unknown" NOT_FOUND "No such photo"
    MethodNotAllowed "method-not-allowed" METHOD_NOT_ALLOWED "Method not allowed at this path"
    UploadIdle "upload-idle" REQUEST_TIMEOUT "The client sent nothing for too long"
    UploadTooSlow "upload-too-slow" REQUEST_TIMEOUT "The client sent its body too slowly"
    PhotoNotReady "photo-not-ready" CONFLICT "The photo is not anonymised"
    ImageGone "image-gone" GONE "The anonymised photo is no longer stored"
    TooLarge "too-large" PAYLOAD_TOO_LARGE "The photo has too many bytes"
    UnsupportedFormat "unsupported-format" UNSUPPORTED_MEDIA_TYPE "The body is neither JPEG nor PNG nor WebP"
    FormExpected "form-expected" UNSUPPORTED_MEDIA_TYPE "The body must be multipart/form-data"
    TooManyPixels "too-many-pixels" UNPROCESSABLE_ENTITY "The photo has too many pixels"
    DamagedImage "damaged-image" UNPROCESSABLE_ENTITY "The photo's header cannot be read"
    IdempotencyKeyReused "idempotency-key-reused" UNPROCESSABLE_ENTITY "The Idempotency-Key was used with another photo"
    Internal "internal" INTERNAL_SERVER_ERROR "Internal server error"
    DatabaseUnavailable "database-unavailable" SERVICE_UNAVAILABLE "The database does not answer"
    StoreUnavailable "store-unavailable" SERVICE_UNAVAILABLE "The object store does not answer"
    Busy "busy" SERVICE_UNAVAILABLE "Too many uploads at once"
}

/// The body of every error response.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// `urn:irmgard:problem:` and the code.
    #[serde(rename = "type")]
    #[schema(example = "urn:irmgard:problem:too-large")]
    kind: String,
    /// The meaning of the code, for people.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// Details of this case, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    detail: Option<Cow<'static, str>>,
    /// Stable code, for programs.
    #[schema(example = "too-large")]
    code: &'static str,
    /// Only with `photo-not-ready`: the photo's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    photo_status: Option<Status>,
}

/// An error response.
#[derive(Debug)]
pub struct Problem {
    detail: Option<Cow<'static, str>>,
    photo_status: Option<Status>,
    retry_after: Option<Duration>,
    /// Boxed, so that a `Result` with a `Problem` stays small.
    logged: Box<LoggedProblem>,
}

/// Details of an error for the request's log line.
#[derive(Clone, Debug)]
pub struct LoggedProblem {
    pub code: Code,
    /// The internal cause; otherwise the detail that the client gets.
    pub cause: Option<String>,
    /// The reason within the code: stable, for programs.
    pub reason: Option<&'static str>,
    /// Set if a photo exceeds a limit.
    pub violation: LimitViolation,
}

/// Measurements of a photo that exceeds a limit, and the limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct LimitViolation {
    pub size_bytes: Option<u64>,
    /// Width in pixels.
    pub width: Option<u32>,
    /// Height in pixels.
    pub height: Option<u32>,
    /// The limit, in the unit of the exceeded measurement.
    pub limit: Option<u64>,
}

impl LimitViolation {
    fn from_upload_error(error: &UploadError) -> Self {
        match *error {
            UploadError::TooLarge { size_bytes, limit } => Self {
                size_bytes,
                limit: Some(limit),
                ..Self::default()
            },
            UploadError::TooManyPixels { width, height, limit } => Self::sides(width, height, limit),
            UploadError::SideTooLong { width, height } => Self::sides(width, height, MAX_SIDE.into()),
            _ => Self::default(),
        }
    }

    fn sides(width: u32, height: u32, limit: u64) -> Self {
        Self {
            size_bytes: None,
            width: Some(width),
            height: Some(height),
            limit: Some(limit),
        }
    }
}

impl Problem {
    #[must_use]
    pub fn new(code: Code) -> Self {
        Self {
            detail: None,
            photo_status: None,
            retry_after: None,
            logged: Box::new(LoggedProblem {
                code,
                cause: None,
                reason: None,
                violation: LimitViolation::default(),
            }),
        }
    }

    /// Adds details for the client. They must not reveal anything that the client did not send.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds the photo's status.
    #[must_use]
    pub const fn photo_status(mut self, status: Status) -> Self {
        self.photo_status = Some(status);
        self
    }

    /// Adds the internal cause, for the log line only.
    #[must_use]
    pub fn cause(mut self, cause: impl ToString) -> Self {
        self.logged.cause = Some(cause.to_string());
        self
    }

    /// Adds the reason within the code, for the log line only.
    #[must_use]
    pub const fn reason(mut self, reason: &'static str) -> Self {
        self.logged.reason = Some(reason);
        self
    }

    fn retry_later(code: Code, after: Duration) -> Self {
        let mut problem = Self::new(code);
        problem.retry_after = Some(after);
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut logged = *self.logged;
        let code = logged.code;
        let status = code.status();
        if logged.cause.is_none() {
            logged.cause = self.detail.as_deref().map(str::to_owned);
        }
        let body = ProblemBody {
            kind: format!("urn:irmgard:problem:{}", code.as_str()),
            title: code.title(),
            status: status.as_u16(),
            detail: self.detail,
            code: code.as_str(),
            photo_status: self.photo_status,
        };
        // Strings and numbers always serialise.
        let json = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (status, json).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(after) = self.retry_after {
            let seconds = after.as_millis().div_ceil(1000).max(1);
            headers.insert(
                header::RETRY_AFTER,
                HeaderValue::from(u64::try_from(seconds).unwrap_or(1)),
            );
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(r#"Bearer realm="irmgard""#),
            );
        }
        response.extensions_mut().insert(logged);
        response
    }
}

impl From<RecordsError> for Problem {
    fn from(error: RecordsError) -> Self {
        match &error {
            RecordsError::Open(open) => Self::retry_later(Code::DatabaseUnavailable, open.retry_after),
            RecordsError::TimedOut | RecordsError::Unavailable(_) => {
                Self::retry_later(Code::DatabaseUnavailable, RETRY_AFTER)
            }
            RecordsError::Fault(_) => Self::new(Code::Internal),
        }
        .cause(error)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Open(open) => Self::retry_later(Code::StoreUnavailable, open.retry_after),
            // An operator must fix a store that refuses requests; the camera retries later.
            StoreError::Stalled
            | StoreError::Unavailable(_)
            | StoreError::NotFound
            | StoreError::Refused(_) => Self::retry_later(Code::StoreUnavailable, RETRY_AFTER),
        }
        .cause(error)
    }
}

impl From<FormError> for Problem {
    fn from(error: FormError) -> Self {
        Self::new(Code::MalformedForm).detail(error.to_string())
    }
}

impl From<UploadError> for Problem {
    fn from(error: UploadError) -> Self {
        let code = match error {
            UploadError::Store(error) => return error.into(),
            UploadError::Records(error) => return error.into(),
            UploadError::Form(error) => return error.into(),
            UploadError::Internal(cause) => return Self::new(Code::Internal).cause(cause),
            UploadError::Busy => return Self::retry_later(Code::Busy, RETRY_AFTER),
            UploadError::Incomplete(cause) => return Self::new(Code::IncompleteBody).cause(cause),
            UploadError::ImageMissing => return Self::new(Code::ImageMissing),
            UploadError::SeveralImages => return Self::new(Code::SeveralImages),
            UploadError::InvalidTakenAt(_) => Code::InvalidTakenAt,
            UploadError::IdempotencyKeyReused => return Self::new(Code::IdempotencyKeyReused),
            UploadError::UnknownFormat(_) => Code::UnsupportedFormat,
            UploadError::TooLarge { .. } => Code::TooLarge,
            UploadError::TooManyPixels { .. } | UploadError::SideTooLong { .. } => Code::TooManyPixels,
            UploadError::Damaged | UploadError::Empty | UploadError::Truncated => Code::DamagedImage,
            UploadError::Idle { .. } => Code::UploadIdle,
            UploadError::TooSlow(_) => Code::UploadTooSlow,
        };
        let mut problem = Self::new(code).detail(error.to_string());
        problem.logged.violation = LimitViolation::from_upload_error(&error);
        problem
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_consist_of_letters_and_hyphens() {
        let codes: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes.len(), Code::ALL.len());
        assert!(
            codes
                .iter()
                .all(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
        );
    }

    #[test]
    fn temporary_errors_have_a_retry_after() {
        let response = Problem::from(UploadError::Busy).into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "2");
        let open = crate::breaker::BreakerOpen {
            retry_after: Duration::from_millis(300),
        };
        let response = Problem::from(StoreError::Open(open)).into_response();
        assert_eq!(response.headers()["retry-after"], "1");
    }
}
