//! Result messages: the worker's verdict on a photo.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Detection, FailureReason, ObjectLocation, PhotoId,
    job::{cut, shortened},
    media::MAX_SIDE,
};

/// The version of [`PhotoResult`] that this code writes and reads.
pub const VERSION: u64 = 1;

/// Longest [`Outcome::Failed`] detail, characters; the rest is cut off, by the
/// writer and by the reader.
pub const MAX_DETAIL_CHARS: usize = 300;

/// What became of one photo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhotoResult {
    /// Message version, [`VERSION`].
    pub version: u64,
    /// The photo.
    pub id: PhotoId,
    /// The verdict.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// A verdict on a photo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// The anonymised photo lies in the output bucket.
    Anonymized {
        /// `s3://bucket/key` of the anonymised photo.
        output: ObjectLocation,
        /// Its size in bytes.
        size_bytes: u64,
        /// Its width in pixels, EXIF orientation applied.
        width: u32,
        /// Its height in pixels, EXIF orientation applied.
        height: u32,
        /// What was found and obscured; `None` where only the object is
        /// known, because an earlier worker put it and then died.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detections: Option<Vec<Detection>>,
        /// Seconds from the worker's taking the job to the stored output.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<f64>,
    },
    /// The photo cannot be anonymised; the original stays for a person.
    Failed {
        /// Stable code.
        reason: FailureReason,
        /// What happened, for a person; no personal data. At most
        /// [`MAX_DETAIL_CHARS`]: made by [`Outcome::failed`].
        detail: String,
    },
}

/// A message that is no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResultError {
    /// No JSON, or a field is missing or wrong.
    #[error("not a result message: {0}")]
    NotAResult(String),
    /// Written by a program that is newer than this one, or by none of ours.
    #[error("result message of unknown version {0}: this program reads version {VERSION}")]
    UnknownVersion(String),
}

impl PhotoResult {
    /// A verdict on a photo, in this version.
    #[must_use]
    pub const fn new(id: PhotoId, outcome: Outcome) -> Self {
        Self {
            version: VERSION,
            id,
            outcome,
        }
    }

    /// The message body.
    ///
    /// # Errors
    /// Never for a value of this type; `serde_json`'s signature is passed on.
    /// A score or duration that is not finite is written as `null`, which no
    /// reader takes for a score.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Reads a message body. Its numbers can be true of a JPEG: sides of 1 to
    /// [`MAX_SIDE`] pixels, boxes not beyond that, scores of 0 to 1, a
    /// duration that is not negative. A long detail is cut.
    ///
    /// # Errors
    /// See [`ResultError`].
    pub fn decode(body: &[u8]) -> Result<Self, ResultError> {
        let value: Value =
            serde_json::from_slice(body).map_err(|e| ResultError::NotAResult(shortened(&e)))?;
        match value.get("version") {
            Some(version) if version.as_u64() == Some(VERSION) => {
                let mut result: Self =
                    Self::deserialize(&value).map_err(|e| ResultError::NotAResult(shortened(&e)))?;
                result.outcome.check().map_err(ResultError::NotAResult)?;
                if let Outcome::Failed { detail, .. } = &mut result.outcome {
                    *detail = cut(std::mem::take(detail), MAX_DETAIL_CHARS);
                }
                Ok(result)
            }
            Some(version) => Err(ResultError::UnknownVersion(shortened(version))),
            None => Err(ResultError::NotAResult("no version".to_owned())),
        }
    }
}

impl Outcome {
    /// A failure; a long detail is cut.
    #[must_use]
    pub fn failed(reason: FailureReason, detail: impl Into<String>) -> Self {
        Self::Failed {
            reason,
            detail: cut(detail.into(), MAX_DETAIL_CHARS),
        }
    }

    /// Whether the numbers can be true; what is wrong otherwise.
    fn check(&self) -> Result<(), String> {
        let Self::Anonymized {
            size_bytes,
            width,
            height,
            detections,
            seconds,
            ..
        } = self
        else {
            return Ok(());
        };
        let side = 1..=MAX_SIDE;
        if !side.contains(width) || !side.contains(height) {
            return Err(format!("a photo of {width} x {height} pixels"));
        }
        if i64::try_from(*size_bytes).is_err() {
            return Err(format!("a photo of {size_bytes} bytes"));
        }
        if let Some(seconds) = seconds.filter(|s| !s.is_finite() || s.is_sign_negative()) {
            return Err(format!("a duration of {seconds} s"));
        }
        match detections
            .iter()
            .flatten()
            .find(|detection| !detection.is_plausible())
        {
            Some(odd) => Err(format!("an impossible detection: {odd:?}")),
            None => Ok(()),
        }
    }
}
