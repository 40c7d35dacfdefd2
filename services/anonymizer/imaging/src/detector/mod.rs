//! Finds people, faces and vehicles in a picture.

#[cfg(test)]
mod agreement;
mod boxes;
mod candidate;
mod canvas;
mod centerface;
mod check;
mod levels;
mod model;
mod nanodet;
mod output;
mod plan;
mod rotation;
mod runtime;
mod scanner;
mod second_look;
mod settings;
mod tiles;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

pub use boxes::{DetectedObject, InvalidMargins, Margins, Rect};
pub use candidate::MAX_COMPARED;
pub use model::WrongModel;
pub use second_look::SecondLook;
pub use settings::{DetectSettings, Effort, Scales, Threshold, UnknownEffort};

use self::{
    candidate::{Passes, PhotoContext},
    model::{CENTERFACE, NANODET},
    plan::Pass,
    runtime::SessionPool,
    scanner::Scanner,
};
use crate::picture::Picture;

/// The two networks. Threads share it; each photo in work uses its own sessions.
pub struct Detector {
    pool: SessionPool,
}

/// ONNX files for [`Detector::with_networks`], with the inputs and outputs of the included ones.
#[cfg(feature = "failpoints")]
#[derive(Clone, Debug)]
pub struct SubstituteNetworks {
    pub nanodet: Vec<u8>,
    pub centerface: Vec<u8>,
}

/// The objects to hide in a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectorOutput {
    /// Boxes in the picture's pixels with their margins, best first; they may reach beyond the picture's edges.
    pub objects: Vec<DetectedObject>,
    pub second_look: SecondLook,
}

/// Stops the work on a picture from another thread. Clones share the state.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// The work ends with an error after the current tile.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why a picture has no result. The first three concern the installation; only [`Detector::load`] returns them.
#[derive(Debug, thiserror::Error)]
pub enum DetectorError {
    /// ONNX Runtime cannot be loaded.
    #[error(
        "ONNX Runtime cannot be loaded from {path}: {why}; \
         `make setup` installs it, ORT_DYLIB_PATH names libonnxruntime.so.1.31.1"
    )]
    Library { path: PathBuf, why: String },
    /// A network's file is not the one that was measured.
    #[error(transparent)]
    WrongModel(#[from] WrongModel),
    /// ONNX Runtime rejects a network.
    #[error("model {name}: {why}")]
    Model { name: &'static str, why: String },
    #[error("resizing: {0}")]
    Resize(String),
    /// A network failed on this picture.
    #[error("inference: {0}")]
    Inference(#[from] ort::Error),
    /// [`Stop`] was set.
    #[error("stopped before it was done")]
    Stopped,
    /// A network's output is invalid.
    #[error("{network}: {why}")]
    Output { network: &'static str, why: String },
}

impl Detector {
    /// Loads ONNX Runtime from `library` and both networks.
    ///
    /// # Errors
    /// The library or a network cannot be used. This says nothing about a photo.
    pub fn load(library: &Path) -> Result<Self, DetectorError> {
        let files = [NANODET.verified()?, CENTERFACE.verified()?];
        Ok(Self {
            pool: SessionPool::new(library, files)?,
        })
    }

    /// A detector with other networks, for tests of invalid outputs.
    ///
    /// # Errors
    /// As [`Detector::load`].
    #[cfg(feature = "failpoints")]
    pub fn with_networks(library: &Path, networks: SubstituteNetworks) -> Result<Self, DetectorError> {
        let files = [
            (NANODET.name, networks.nanodet),
            (CENTERFACE.name, networks.centerface),
        ]
        .map(|(name, bytes)| runtime::ModelFile {
            name,
            bytes: bytes.leak(),
        });
        Ok(Self {
            pool: SessionPool::new(library, files)?,
        })
    }

    /// The objects to hide, best first, as boxes in the picture's pixels with their margins. Boxes may reach beyond the
    /// picture's edges.
    ///
    /// # Errors
    /// A network fails.
    pub fn detect(
        &self,
        picture: &Picture,
        settings: &DetectSettings,
    ) -> Result<Vec<DetectedObject>, DetectorError> {
        let detected = self.detect_until(picture, settings, &Stop::default())?;
        Ok(detected.objects)
    }

    /// Like [`Detector::detect`], but ends when `stop` is set.
    ///
    /// # Errors
    /// As [`Detector::detect`], and if `stop` is set.
    pub fn detect_until(
        &self,
        picture: &Picture,
        settings: &DetectSettings,
        stop: &Stop,
    ) -> Result<DetectorOutput, DetectorError> {
        let passes = plan::passes(picture.width, picture.height, &settings.scales);
        let photo = photo_context(picture, &passes);
        self.pool.with_networks(|networks| {
            let mut scanner = Scanner::new(picture, settings, networks, stop);
            let candidates = scanner.candidates(&passes)?;
            let (counting, second_look) = second_look::select(&mut scanner, candidates, &photo, settings)?;
            Ok(DetectorOutput {
                objects: candidate::objects(&counting, settings),
                second_look,
            })
        })
    }

    /// The people and faces that are clearly visible in an obscured picture and not covered by the boxes in `hidden`.
    ///
    /// # Errors
    /// As [`Detector::detect_until`].
    pub fn visible_until(
        &self,
        obscured: &Picture,
        hidden: &[Rect],
        settings: &DetectSettings,
        stop: &Stop,
    ) -> Result<Vec<DetectedObject>, DetectorError> {
        let Some(pass) = plan::check(obscured.width, obscured.height, &settings.scales) else {
            return Ok(Vec::new());
        };
        self.pool.with_networks(|networks| {
            let mut scanner = Scanner::new(obscured, settings, networks, stop);
            check::visible(&mut scanner, &pass, hidden, settings)
        })
    }
}

/// The context of the candidates of a picture that is scanned in these passes.
fn photo_context(picture: &Picture, passes: &[Pass]) -> PhotoContext {
    let (width, height) = (picture.width, picture.height);
    let shown = |pass: &Pass| {
        let tiles = pass.tiles(width, height);
        tiles.iter().map(|tile| tile.shown(width, height)).collect()
    };
    PhotoContext {
        rect: scanner::whole(picture),
        passes: match passes {
            [fine, coarse] => Some(Passes {
                fine_tiles: shown(fine),
                coarse: coarse.scale,
            }),
            _ => None,
        },
    }
}
