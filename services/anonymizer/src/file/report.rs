//! What is told about each photo.

use std::{collections::BTreeMap, path::Path};

use contract::{Detection, FailureReason};
use imaging::Anonymized;
use serde::Serialize;

/// What became of one photo; a line of `--json`.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Report<'a> {
    /// It was written.
    Anonymized {
        /// The photo as it came.
        input: &'a Path,
        /// The photo that may be seen.
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

    /// The line for people; `None` where all went well.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        match self {
            Self::Anonymized { .. } => None,
            Self::Failed { input, detail, .. } => Some(format!("{}: {detail}", input.display())),
        }
    }
}
