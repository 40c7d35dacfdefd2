//! Work on one photo: in this process, or in one of its own where the photo
//! is suspect.

mod bench;

use std::path::Path;

use contract::{Detection, FailureReason};

pub use bench::{Failure, Workbench};

use imaging::{
    AnonymizeError, Anonymized, Checks,
    detector::{Detector, DetectorError},
};

/// An anonymised photo, whichever process made it.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    /// The file.
    pub jpeg: Vec<u8>,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// What was found and obscured.
    pub detections: Vec<Detection>,
    /// What the detector's own checks came to.
    pub checks: Checks,
    /// Stages and their seconds.
    pub stages: Vec<(String, f64)>,
}

/// What [`imaging::anonymize`] said, as far as it concerns the photo.
#[derive(Debug)]
pub enum Judgement {
    /// Done.
    Anonymized(Product),
    /// A verdict.
    Refused {
        /// Stable code.
        reason: FailureReason,
        /// What happened.
        detail: String,
        /// The photo itself is at fault, whoever looks; otherwise a process
        /// with memory of its own may still manage.
        certain: bool,
    },
    /// The detector is not in working order: nothing is said about the photo.
    NotReady(String),
}

/// Loads the networks of this program, or those that a test puts in their place.
///
/// # Errors
/// As [`Detector::load`].
pub fn load_detector(library: &Path) -> Result<Detector, DetectorError> {
    #[cfg(feature = "failpoints")]
    if let Some(folder) = crate::failpoint::networks() {
        let read = |name: &str| std::fs::read(folder.join(name)).unwrap_or_default();
        let networks = imaging::detector::OtherNetworks {
            nanodet: read("nanodet.onnx"),
            centerface: read("centerface.onnx"),
        };
        return Detector::with_networks(library, networks);
    }
    Detector::load(library)
}

/// Tells verdicts on the photo from faults of the installation.
#[must_use]
pub fn judge(result: Result<Anonymized, AnonymizeError>) -> Judgement {
    match result {
        Ok(done) => Judgement::Anonymized(Product {
            stages: done
                .seconds
                .by_stage()
                .map(|(stage, seconds)| (stage.to_owned(), seconds))
                .into(),
            jpeg: done.jpeg,
            width: done.width,
            height: done.height,
            detections: done.detections,
            checks: done.checks,
        }),
        Err(AnonymizeError::Detect(
            error @ (DetectorError::Library { .. }
            | DetectorError::WrongModel(_)
            | DetectorError::Model { .. }),
        )) => Judgement::NotReady(error.to_string()),
        Err(error) => Judgement::Refused {
            reason: error.reason(),
            detail: error.to_string(),
            certain: matches!(error, AnonymizeError::Decode(_)),
        },
    }
}
