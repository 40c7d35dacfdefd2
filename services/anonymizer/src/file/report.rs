//! The report on each photo, as JSON or as text.

use std::{collections::BTreeMap, path::Path};

use contract::{Detection, FailureReason};
use imaging::Anonymized;
use serde::{Serialize, Serializer};
use terminal::escaped;

/// The result for one photo; a line of `--json`.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum PhotoReport<'a> {
    /// The anonymised photo was written.
    Anonymized {
        #[serde(serialize_with = "serialize_lossy")]
        input: &'a Path,
        #[serde(serialize_with = "serialize_lossy")]
        output: &'a Path,
        /// Width in pixels, after rotation.
        width: u32,
        /// Height in pixels, after rotation.
        height: u32,
        /// What was found and obscured.
        detections: Vec<Detection>,
        /// Seconds by stage.
        seconds: BTreeMap<&'static str, f64>,
    },
    /// Nothing was written.
    Failed {
        #[serde(serialize_with = "serialize_lossy")]
        input: &'a Path,
        /// Why the photo cannot be anonymised. `None` for any other error.
        reason: Option<FailureReason>,
        detail: String,
    },
}

impl<'a> PhotoReport<'a> {
    /// The report on a photo that was written to `output`.
    #[must_use]
    pub fn anonymized(input: &'a Path, output: &'a Path, anonymized: Anonymized) -> Self {
        Self::Anonymized {
            input,
            output,
            width: anonymized.width,
            height: anonymized.height,
            detections: anonymized.detections,
            seconds: anonymized.seconds.by_stage().into(),
        }
    }

    /// The line of `--json`, with a newline.
    ///
    /// # Errors
    /// If JSON cannot represent a number.
    pub fn json_line(&self) -> serde_json::Result<String> {
        let mut line = escaped(&serde_json::to_string(self)?);
        line.push('\n');
        Ok(line)
    }

    /// The error message; `None` for an anonymised photo.
    #[must_use]
    pub fn error_message(&self) -> Option<String> {
        match self {
            Self::Anonymized { .. } => None,
            Self::Failed { input, detail, .. } => Some(format!("{}: {detail}", display_path(input))),
        }
    }
}

/// Serialises a path as text. JSON needs Unicode, but file names may contain other bytes.
fn serialize_lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// A path as text for a terminal: control characters are escaped, and bytes that are not
/// Unicode become `�`. File names may contain any byte except `/` and NUL.
#[must_use]
pub fn display_path(path: &Path) -> String {
    escaped(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

    use super::*;

    #[test]
    fn displayed_paths_contain_no_control_characters() {
        let name = Path::new("cam 1/ä\u{1b}[2J\n\u{9b}\u{202e}gpj.写真");
        assert_eq!(display_path(name), r"cam 1/ä\u001b[2J\u000a\u009b\u202egpj.写真");
        let not_unicode = Path::new(OsStr::from_bytes(b"a\xff.jpg"));
        assert_eq!(display_path(not_unicode), "a\u{fffd}.jpg");
    }
}
