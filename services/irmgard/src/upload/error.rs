use contract::media::MAX_SIDE;
use service_runtime::min_rate::TooSlow;

use super::form::FormError;
use crate::{photo::RecordsError, store::StoreError};

/// Why an upload was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error("the photo has more than {limit} bytes")]
    TooLarge {
        /// Size of the photo in bytes, if the request announces it.
        size_bytes: Option<u64>,
        /// The limit, bytes.
        limit: u64,
    },
    #[error("the photo has {} pixels, more than {limit}", u64::from(*width) * u64::from(*height))]
    TooManyPixels { width: u32, height: u32, limit: u64 },
    /// A side is too long for a JPEG, the format of the anonymised photo.
    #[error("the photo has {width} x {height} pixels, and no side may have more than {MAX_SIDE}")]
    SideTooLong { width: u32, height: u32 },
    /// The file is neither JPEG nor PNG nor WebP. Holds its first bytes, escaped.
    #[error("the file is neither JPEG nor PNG nor WebP: it begins with \"{0}\"")]
    UnknownFormat(String),
    /// The header of the photo is malformed or too long.
    #[error("the photo's header is damaged")]
    Damaged,
    #[error("the body is empty: send the photo's bytes, or a form with them")]
    Empty,
    /// The body ends before the size in pixels is known.
    #[error("the photo ends before its size in pixels is known")]
    Truncated,
    #[error("the body is incomplete: {0}")]
    Incomplete(String),
    /// The camera sent nothing for too long.
    #[error("the camera sent nothing for {seconds} s")]
    Idle {
        /// The limit, seconds.
        seconds: u64,
    },
    /// The camera sent too slowly.
    #[error("the camera sent {0}")]
    TooSlow(#[from] TooSlow),
    #[error("malformed form: {0}")]
    Form(#[from] FormError),
    #[error("the form has no file field image")]
    ImageMissing,
    #[error("the form has more than one field image")]
    SeveralImages,
    /// `taken_at` cannot be stored; holds the reason.
    #[error("taken_at: {0}")]
    InvalidTakenAt(&'static str),
    /// The idempotency key was used with another photo.
    #[error("the idempotency key was used with another photo")]
    IdempotencyKeyReused,
    /// No memory for another body of unknown length.
    #[error("no memory is free for another upload")]
    Busy,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// A bug in this program.
    #[error("internal: {0}")]
    Internal(String),
}
