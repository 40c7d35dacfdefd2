//! Job messages: "anonymise this photo".

use std::fmt::Display;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ObjectLocation, PhotoId, ProjectName, headers::MAX_MESSAGE_BYTES};

/// The version of [`Job`] that this code writes. It reads this version and newer ones.
pub const VERSION: u64 = 1;

/// A job of irmgard: the three fields of the legacy web service, and more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Message version; [`VERSION`] or newer.
    pub version: u64,
    pub id: PhotoId,
    /// The camera's file name; for people only, never a path.
    pub name: String,
    /// `bucket/key` of the original, in the form of the legacy programs.
    pub storage_location: String,
    /// `s3://bucket/key` of the original.
    pub uri: ObjectLocation,
    /// `s3://bucket/key` of the anonymised photo.
    pub output: ObjectLocation,
    pub project: ProjectName,
}

/// A job of the legacy web service. Its id belongs to another database, so the worker reports no result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegacyJob {
    /// Row number in the legacy web service's database.
    pub id: i64,
    /// File name, which is also the object's key.
    pub name: String,
    /// `bucket/key` of the original.
    pub storage_location: String,
}

/// A message of the job queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobMessage {
    /// A message with a `version`, from irmgard.
    Versioned(Job),
    /// A message without a `version`, from the legacy web service.
    Legacy(LegacyJob),
}

/// The message is not a job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    #[error("message of {0} bytes: more than {MAX_MESSAGE_BYTES}")]
    TooLong(usize),
    /// The message is not a JSON object, or belongs to no photo.
    #[error("not a job message: {0}")]
    NotAJob(String),
    /// The version is not a number, or this program cannot read the fields of a newer version.
    #[error("job message of unknown version {0}: this program reads version {VERSION}")]
    UnknownVersion(String),
    /// Version and photo are readable, another field is not.
    #[error("malformed job message of photo {id}: {why}")]
    Malformed { id: PhotoId, why: String },
}

impl Job {
    /// The message body.
    ///
    /// # Errors
    /// Never for a value of this type.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}

impl JobMessage {
    /// Parses a message body. Unknown fields are ignored, and newer versions are accepted.
    ///
    /// # Errors
    /// See [`JobError`]; only [`JobError::Malformed`] names a photo.
    pub fn decode(body: &[u8]) -> Result<Self, JobError> {
        if body.len() > MAX_MESSAGE_BYTES {
            return Err(JobError::TooLong(body.len()));
        }
        let value: Value = serde_json::from_slice(body).map_err(|e| JobError::NotAJob(shorten(&e)))?;
        let Some(object) = value.as_object() else {
            return Err(JobError::NotAJob("not a JSON object".to_owned()));
        };
        let Some(version) = object.get("version") else {
            return LegacyJob::deserialize(&value)
                .map(Self::Legacy)
                .map_err(|e| JobError::NotAJob(shorten(&e)));
        };
        let Some(number) = version.as_u64().filter(|number| *number >= VERSION) else {
            return Err(JobError::UnknownVersion(shorten(version)));
        };
        let parsed = Job::deserialize(&value);
        if number > VERSION {
            // A newer worker may be able to read this message, so it is no verdict on the photo.
            let job = parsed.map_err(|_| JobError::UnknownVersion(shorten(version)))?;
            return Ok(Self::Versioned(job));
        }
        let id = object
            .get("id")
            .and_then(Value::as_i64)
            .and_then(|id| PhotoId::try_from(id).ok())
            .ok_or_else(|| JobError::NotAJob("no photo id".to_owned()))?;
        parsed
            .map(Self::Versioned)
            .map_err(|e| JobError::Malformed { id, why: shorten(&e) })
    }
}

/// Longest text from outside in an error, characters. A parser's error may quote the message.
const MAX_QUOTED_CHARS: usize = 160;

/// A text from outside, short enough for a log line or a message header.
pub(crate) fn shorten(text: &dyn Display) -> String {
    let mut text = text.to_string();
    truncate(&mut text, MAX_QUOTED_CHARS);
    text
}

/// Truncates a text to `max_chars` characters, and marks the end with `…`.
pub(crate) fn truncate(text: &mut String, max_chars: usize) {
    if let Some((end, _)) = text.char_indices().nth(max_chars) {
        text.truncate(end);
        text.push('…');
    }
}
