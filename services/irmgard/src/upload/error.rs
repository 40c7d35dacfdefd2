//! Why an upload ends without a photo.

use chassis::pace::TooSlow;
use contract::media::MAX_SIDE;

use super::form::FormError;
use crate::{photo::RecordsError, store::StoreError};

/// Why an upload ends without a photo.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// More bytes than allowed.
    #[error("the photo has more than {limit} bytes")]
    TooLarge {
        /// The photo's size in bytes, where the request says it.
        size_bytes: Option<u64>,
        /// The limit, bytes.
        limit: u64,
    },
    /// More pixels than allowed.
    #[error("the photo has {} pixels, more than {limit}", u64::from(*width) * u64::from(*height))]
    TooManyPixels {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The limit.
        limit: u64,
    },
    /// A side is longer than a JPEG can be, which the anonymised photo is.
    #[error("the photo has {width} x {height} pixels, and no side may have more than {MAX_SIDE}")]
    TooLong {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// Neither JPEG nor PNG nor WebP; the first bytes, escaped.
    #[error("the file begins with \"{0}\", and is neither JPEG nor PNG nor WebP")]
    UnknownFormat(String),
    /// The header of the picture makes no sense, or does not end.
    #[error("the picture's header is damaged")]
    Damaged,
    /// There is no body.
    #[error("the body is empty: it is the photo's bytes, or a form with them")]
    Empty,
    /// The body ended before the picture told its size.
    #[error("the picture ends before its size in pixels is told")]
    Truncated,
    /// The body did not arrive whole.
    #[error("the body did not arrive whole: {0}")]
    Incomplete(String),
    /// The camera sent nothing for too long.
    #[error("the camera sent nothing for {seconds} s")]
    Idle {
        /// The limit, seconds.
        seconds: u64,
    },
    /// The camera sent less than it must.
    #[error("the camera sent {0}")]
    TooSlow(#[from] TooSlow),
    /// The form cannot be read.
    #[error("malformed form: {0}")]
    Form(#[from] FormError),
    /// The form has no field `image`.
    #[error("the form has no file field image")]
    ImageMissing,
    /// The form has two or more fields `image`.
    #[error("the form has more than one field image")]
    SeveralImages,
    /// `taken_at` is no time that can be kept; what is wrong.
    #[error("taken_at: {0}")]
    TakenAt(&'static str),
    /// The key belongs to other bytes.
    #[error("the idempotency key was used with other bytes")]
    IdempotencyKeyReused,
    /// No memory for another body of unknown length.
    #[error("no memory for another upload")]
    Busy,
    /// The object store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// A mistake of ours.
    #[error("internal: {0}")]
    Internal(String),
}
