//! Why a photo could not be anonymised.

use serde::{Deserialize, Serialize};

/// A stable code for the reason of a `failed` photo.
///
/// Each is a verdict on the photo itself: an outage of a server never becomes
/// one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureReason {
    /// The bytes do not decode to a whole picture.
    CorruptImage,
    /// Not a JPEG, PNG or WebP, or a kind of these that is not supported.
    UnsupportedFormat,
    /// More bytes or pixels than the limits allow.
    TooLarge,
    /// The detector or the encoder failed on this photo, or the object store,
    /// in order otherwise, constantly fails at its original.
    ProcessingError,
    /// Work on this photo ended the process that did it, twice.
    ProcessCrashed,
    /// Neither the original nor an anonymised photo is in the object store.
    OriginalMissing,
    /// The job message does not make sense, but names a photo.
    MalformedMessage,
    /// The broker gave up: delivered too often without an answer.
    DeliveryLimit,
}

impl FailureReason {
    /// The code in messages, the database, logs and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::CorruptImage => "corrupt-image",
            Self::UnsupportedFormat => "unsupported-format",
            Self::TooLarge => "too-large",
            Self::ProcessingError => "processing-error",
            Self::ProcessCrashed => "process-crashed",
            Self::OriginalMissing => "original-missing",
            Self::MalformedMessage => "malformed-message",
            Self::DeliveryLimit => "delivery-limit",
        }
    }
}

impl std::fmt::Display for FailureReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}
