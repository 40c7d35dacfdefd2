//! Job messages: "anonymise this photo".

use std::fmt::Display;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ObjectLocation, PhotoId, ProjectName, headers::MAX_MESSAGE_BYTES};

/// The version of [`Job`] that this code writes and reads.
pub const VERSION: u64 = 1;

/// A job as irmgard writes it: the three fields of the given web service,
/// and our own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Message version, [`VERSION`].
    pub version: u64,
    /// The photo.
    pub id: PhotoId,
    /// The file name that the camera gave; for people only, never a path.
    pub name: String,
    /// `bucket/key` of the original, as the given programs write it.
    pub storage_location: String,
    /// The original: `s3://bucket/key`.
    pub uri: ObjectLocation,
    /// Where the anonymised photo goes: `s3://bucket/key`.
    pub output: ObjectLocation,
    /// The timelapse project.
    pub project: ProjectName,
}

/// A job of the given web service. Its id is not one of ours, so nothing is
/// reported back about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenJob {
    /// Row number in the given web service's own database.
    pub id: i64,
    /// File name, which is also the object's key.
    pub name: String,
    /// `bucket/key` of the original.
    pub storage_location: String,
}

/// What may lie in the job queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobMessage {
    /// Ours, told by its `version`.
    Ours(Job),
    /// The given web service's, told by having no `version`.
    Given(GivenJob),
}

/// A message that is no job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// Longer than [`MAX_MESSAGE_BYTES`].
    #[error("message of {0} bytes: more than {MAX_MESSAGE_BYTES}")]
    TooLong(usize),
    /// No JSON object, or one that belongs to no photo.
    #[error("not a job message: {0}")]
    NotAJob(String),
    /// Written by a program that is newer than this one, or by none of ours.
    #[error("job message of unknown version {0}: this program reads version {VERSION}")]
    UnknownVersion(String),
    /// Version and photo are readable, the rest is not.
    #[error("malformed job message of photo {id}: {why}")]
    Malformed {
        /// The photo that it is about.
        id: PhotoId,
        /// What is wrong.
        why: String,
    },
}

impl Job {
    /// The message body.
    ///
    /// # Errors
    /// Never for a value of this type; `serde_json`'s signature is passed on.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}

impl JobMessage {
    /// Reads a message body.
    ///
    /// # Errors
    /// See [`JobError`]; only [`JobError::Malformed`] can be attributed to a
    /// photo.
    pub fn decode(body: &[u8]) -> Result<Self, JobError> {
        if body.len() > MAX_MESSAGE_BYTES {
            return Err(JobError::TooLong(body.len()));
        }
        let value: Value = serde_json::from_slice(body).map_err(|e| JobError::NotAJob(shortened(&e)))?;
        let Some(object) = value.as_object() else {
            return Err(JobError::NotAJob("not a JSON object".to_owned()));
        };
        let Some(version) = object.get("version") else {
            return GivenJob::deserialize(&value)
                .map(Self::Given)
                .map_err(|e| JobError::NotAJob(shortened(&e)));
        };
        if version.as_u64() != Some(VERSION) {
            return Err(JobError::UnknownVersion(shortened(version)));
        }
        let id = object
            .get("id")
            .and_then(Value::as_i64)
            .and_then(|id| PhotoId::try_from(id).ok())
            .ok_or_else(|| JobError::NotAJob("no photo id".to_owned()))?;
        Job::deserialize(&value)
            .map(Self::Ours)
            .map_err(|e| JobError::Malformed {
                id,
                why: shortened(&e),
            })
    }
}

/// Longest text from outside that goes into an error, characters. What a
/// parser says may quote the message, which may be long.
const MAX_QUOTED: usize = 160;

/// A text with something from outside in it, short enough for a log line or a
/// message header.
pub(crate) fn shortened(text: &dyn Display) -> String {
    cut(text.to_string(), MAX_QUOTED)
}

/// A text of at most `max_chars` characters, and `…` where more was cut off.
pub(crate) fn cut(mut text: String, max_chars: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(max_chars) {
        text.truncate(end);
        text.push('…');
    }
    text
}
