//! Result messages: the worker's verdict on a photo.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    ObjectLocation, PhotoId,
    job::{shorten, truncate},
    media::MAX_SIDE,
};

/// The version of [`PhotoResult`] that this code writes. It reads this version and newer ones.
pub const VERSION: u64 = 1;

/// Longest [`Verdict::Failed`] detail, characters. Writer and reader truncate longer ones.
pub const MAX_DETAIL_CHARS: usize = 300;

/// Longest name of a class, bytes.
const MAX_CLASS_BYTES: usize = 64;

/// The message about one finished photo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhotoResult {
    /// Message version; [`VERSION`] or newer.
    pub version: u64,
    pub id: PhotoId,
    #[serde(flatten)]
    pub verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Verdict {
    /// The anonymised photo is in the output bucket.
    Anonymized {
        /// `s3://bucket/key` of the anonymised photo.
        output: ObjectLocation,
        size_bytes: u64,
        /// Width in pixels, EXIF orientation applied.
        width: u32,
        /// Height in pixels, EXIF orientation applied.
        height: u32,
        /// The objects that were obscured. `None` if the worker found only the output of another worker, which died
        /// before it reported.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detections: Option<Vec<Detection>>,
        /// Seconds from the start of the job in the worker until the output was stored.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<f64>,
    },
    /// The photo cannot be anonymised; its original stays for a person.
    Failed {
        reason: FailureReason,
        /// What happened, for people; without personal data, at most [`MAX_DETAIL_CHARS`].
        detail: String,
    },
}

/// One object: its box in pixels of the anonymised photo (EXIF orientation applied), origin at the top left, as it was
/// obscured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// Name of the object's class. A newer worker may report classes that no other program knows.
    pub class: String,
    /// The detector's score, 0 to 1.
    pub score: f32,
    /// Left edge, pixels.
    pub x: u32,
    /// Top edge, pixels.
    pub y: u32,
    /// Width, pixels.
    pub width: u32,
    /// Height, pixels.
    pub height: u32,
}

impl Detection {
    /// Whether the class has a short name, the score is one, and no edge lies beyond the longest side of a JPEG.
    #[must_use]
    pub fn is_plausible(&self) -> bool {
        let edges = [self.x, self.y, self.width, self.height];
        (1..=MAX_CLASS_BYTES).contains(&self.class.len())
            && (0.0..=1.0).contains(&self.score)
            && edges.into_iter().all(|edge| edge <= MAX_SIDE)
    }
}

/// A stable code for the reason of a `failed` photo.
///
/// Each is a verdict on the photo itself: an outage of a server never becomes one.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, strum::Display, strum::IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum FailureReason {
    /// The bytes do not decode to a complete picture.
    CorruptImage,
    /// Not a JPEG, PNG or WebP, or an unsupported kind of these.
    UnsupportedFormat,
    /// More bytes or pixels than the limits allow.
    TooLarge,
    /// The detector or the encoder failed on this photo, or the object store works but always fails at its original.
    ProcessingError,
    /// The photo crashed two processes.
    ProcessCrashed,
    /// The object store has neither the original nor an anonymised photo.
    OriginalMissing,
    /// The job message is invalid, but names a photo.
    MalformedMessage,
    /// The broker delivered the job too often without an answer.
    DeliveryLimit,
}

impl FailureReason {
    /// The code in messages, the database, logs and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.into_str()
    }
}

/// The message is not a result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResultError {
    /// The message is not JSON, or a field is missing or wrong.
    #[error("not a result message: {0}")]
    NotAResult(String),
    /// The version is not a number, or this program cannot read the fields of a newer version.
    #[error("result message of unknown version {0}: this program reads version {VERSION}")]
    UnknownVersion(String),
}

impl PhotoResult {
    /// A result in the current version.
    #[must_use]
    pub const fn new(id: PhotoId, verdict: Verdict) -> Self {
        Self {
            version: VERSION,
            id,
            verdict,
        }
    }

    /// The message body.
    ///
    /// # Errors
    /// Never for a value of this type. A number that is not finite becomes `null`, which no reader accepts.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Parses a message body and checks its numbers: a JPEG can have its sides and its boxes, scores are 0 to 1, the
    /// duration is not negative.
    ///
    /// Messages of newer workers are accepted: unknown fields are ignored, classes of detections are kept by name, and
    /// a failure for an unknown reason is a [`FailureReason::ProcessingError`] whose detail begins with that reason.
    ///
    /// # Errors
    /// See [`ResultError`].
    pub fn decode(body: &[u8]) -> Result<Self, ResultError> {
        let mut value: Value =
            serde_json::from_slice(body).map_err(|e| ResultError::NotAResult(shorten(&e)))?;
        let version = value
            .get("version")
            .cloned()
            .ok_or_else(|| ResultError::NotAResult("no version".to_owned()))?;
        let Some(number) = version.as_u64().filter(|number| *number >= VERSION) else {
            return Err(ResultError::UnknownVersion(shorten(&version)));
        };
        replace_unknown_reason(&mut value);
        let mut result = Self::deserialize(&value).map_err(|e| match number {
            VERSION => ResultError::NotAResult(shorten(&e)),
            _ => ResultError::UnknownVersion(shorten(&version)),
        })?;
        result.verdict.check().map_err(ResultError::NotAResult)?;
        if let Verdict::Failed { detail, .. } = &mut result.verdict {
            truncate(detail, MAX_DETAIL_CHARS);
        }
        Ok(result)
    }
}

/// Moves a failure reason that this program does not know into the detail.
fn replace_unknown_reason(message: &mut Value) {
    let Some(reason) = message["reason"].as_str().map(str::to_owned) else {
        return;
    };
    if FailureReason::deserialize(&message["reason"]).is_err() {
        let detail = message["detail"].as_str().unwrap_or_default();
        message["detail"] = format!("{}: {detail}", shorten(&reason)).into();
        message["reason"] = FailureReason::ProcessingError.code().into();
    }
}

impl Verdict {
    /// A failure; a long detail is truncated.
    #[must_use]
    pub fn failed(reason: FailureReason, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        truncate(&mut detail, MAX_DETAIL_CHARS);
        Self::Failed { reason, detail }
    }

    /// Whether the numbers are possible; the error says which one is not.
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
        let mut detections = detections.iter().flatten();
        match detections.find(|detection| !detection.is_plausible()) {
            Some(detection) => Err(shorten(&format!("an impossible detection: {detection:?}"))),
            None => Ok(()),
        }
    }
}
