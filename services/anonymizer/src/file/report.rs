//! What is told about each photo.

use std::{collections::BTreeMap, path::Path};

use contract::{Detection, FailureReason};
use imaging::Anonymized;
use serde::{Serialize, Serializer};
use terminal::escaped;

use super::shown;

/// What became of one photo; a line of `--json`.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Report<'a> {
    /// It was written.
    Anonymized {
        /// The photo as it came.
        #[serde(serialize_with = "lossy")]
        input: &'a Path,
        /// The photo that may be seen.
        #[serde(serialize_with = "lossy")]
        output: &'a Path,
        /// Width in pixels, upright.
        width: u32,
        /// Height in pixels, upright.
        height: u32,
        /// What was found, and where it was hidden.
        detections: Vec<Detection>,
        /// Seconds by stage.
        seconds: BTreeMap<&'static str, f64>,
    },
    /// Nothing was written.
    Failed {
        /// The photo as it came.
        #[serde(serialize_with = "lossy")]
        input: &'a Path,
        /// The verdict on the photo; none where something else is wrong.
        reason: Option<FailureReason>,
        /// What happened.
        detail: String,
    },
}

impl<'a> Report<'a> {
    /// Of a photo that was written to `output`.
    #[must_use]
    pub fn anonymized(input: &'a Path, output: &'a Path, done: Anonymized) -> Self {
        Self::Anonymized {
            input,
            output,
            width: done.width,
            height: done.height,
            detections: done.detections,
            seconds: done.seconds.by_stage().into(),
        }
    }

    /// The line of `--json`, with its end.
    ///
    /// # Errors
    /// When a number is none that JSON has.
    pub fn line(&self) -> serde_json::Result<String> {
        let mut line = escaped(&serde_json::to_string(self)?);
        line.push('\n');
        Ok(line)
    }

    /// The line for people; `None` where all went well.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        match self {
            Self::Anonymized { .. } => None,
            Self::Failed { input, detail, .. } => Some(format!("{}: {detail}", shown(input))),
        }
    }
}

/// JSON is Unicode, file names need not be.
fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}
