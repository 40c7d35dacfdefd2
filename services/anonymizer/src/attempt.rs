//! One attempt to anonymise a photo, in this process or in a child process.

use std::path::Path;

use contract::{Detection, FailureReason};
use imaging::{
    AnonymizeError, Anonymized, Checks,
    detector::{Detector, DetectorError},
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq)]
pub struct AnonymizedPhoto {
    pub jpeg: Vec<u8>,
    pub summary: PhotoSummary,
}

/// What the process that anonymised a photo reports about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhotoSummary {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// What was found and obscured.
    pub detections: Vec<Detection>,
    /// Results of the detector's own checks.
    pub checks: Checks,
    /// Stages and their seconds.
    pub stages: Vec<(String, f64)>,
}

/// The result of [`imaging::anonymize`] in one process.
#[derive(Debug)]
pub enum Attempt {
    Anonymized(AnonymizedPhoto),
    /// The photo cannot be anonymised.
    Refused {
        reason: FailureReason,
        detail: String,
        /// The photo itself is at fault, so a retry cannot help. Otherwise a child
        /// process with its own memory may succeed.
        is_certain: bool,
    },
    /// The detector does not work. This says nothing about the photo.
    NotReady(String),
}

/// Loads the networks of this program, or those of the failpoint `anonymizer::networks`.
///
/// # Errors
/// As [`Detector::load`].
pub fn load_detector(library: &Path) -> Result<Detector, DetectorError> {
    #[cfg(feature = "failpoints")]
    if let Some(folder) = service_runtime::failpoint::text("anonymizer::networks") {
        let folder = Path::new(&folder);
        let read = |name: &str| std::fs::read(folder.join(name)).unwrap_or_default();
        let networks = imaging::detector::SubstituteNetworks {
            nanodet: read("nanodet.onnx"),
            centerface: read("centerface.onnx"),
        };
        return Detector::with_networks(library, networks);
    }
    Detector::load(library)
}

/// Separates failures of the photo from faults of the installation.
#[must_use]
pub fn classify_attempt(result: Result<Anonymized, AnonymizeError>) -> Attempt {
    match result {
        Ok(anonymized) => Attempt::Anonymized(AnonymizedPhoto {
            jpeg: anonymized.jpeg,
            summary: PhotoSummary {
                width: anonymized.width,
                height: anonymized.height,
                detections: anonymized.detections,
                checks: anonymized.checks,
                stages: anonymized
                    .seconds
                    .by_stage()
                    .map(|(stage, seconds)| (stage.to_owned(), seconds))
                    .into(),
            },
        }),
        Err(AnonymizeError::Detect(
            error @ (DetectorError::Library { .. }
            | DetectorError::WrongModel(_)
            | DetectorError::Model { .. }),
        )) => Attempt::NotReady(error.to_string()),
        Err(error) => Attempt::Refused {
            reason: error.reason(),
            detail: error.to_string(),
            is_certain: matches!(error, AnonymizeError::Decode(_)),
        },
    }
}
