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
mod runtime;
mod search;
mod second_look;
mod settings;
mod tiles;
mod turn;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

pub use boxes::{Found, Growth, InvalidGrowth, Rect};
pub use candidate::MAX_COMPARED;
pub use model::WrongModel;
pub use second_look::SecondLook;
pub use settings::{DetectSettings, Effort, Scales, Threshold, UnknownEffort};

use self::{
    candidate::{Looks, Photo},
    model::{CENTERFACE, NANODET},
    plan::Pass,
    runtime::Pool,
    search::Search,
};
use crate::picture::Picture;

/// The two networks, ready to run. Shared between threads: each photo in work
/// has sessions of its own.
pub struct Detector {
    pool: Pool,
}

/// ONNX files for [`Detector::with_networks`], with the inputs and outputs of
/// the measured ones.
#[cfg(feature = "failpoints")]
#[derive(Clone, Debug)]
pub struct OtherNetworks {
    /// In the place of NanoDet.
    pub nanodet: Vec<u8>,
    /// In the place of CenterFace.
    pub centerface: Vec<u8>,
}

/// What is to be hidden in a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Detected {
    /// Boxes in the picture's pixels with their margins, best first; they may
    /// reach beyond the picture's edges.
    pub objects: Vec<Found>,
    /// What became of unsure candidates.
    pub second_look: SecondLook,
}

/// Ends work on a picture from another thread; clones are one.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// The work ends with an error, soon: within one tile.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why nothing can be said about a picture. The first three concern the
/// installation and come from [`Detector::load`] only.
#[derive(Debug, thiserror::Error)]
pub enum DetectorError {
    /// ONNX Runtime is not there.
    #[error(
        "ONNX Runtime cannot be loaded from {path}: {why}; \
         `make setup` installs it, ORT_DYLIB_PATH names libonnxruntime.so.1.31.1"
    )]
    Library {
        /// Where it was looked for.
        path: PathBuf,
        /// What the loader says.
        why: String,
    },
    /// A network's file is not the one whose quality was measured.
    #[error(transparent)]
    WrongModel(#[from] WrongModel),
    /// ONNX Runtime does not take a network.
    #[error("model {name}: {why}")]
    Model {
        /// The network's file.
        name: &'static str,
        /// What ONNX Runtime says.
        why: String,
    },
    /// A part of the picture could not be resized.
    #[error("resizing: {0}")]
    Resize(String),
    /// A network failed on this picture.
    #[error("inference: {0}")]
    Inference(#[from] ort::Error),
    /// [`Stop`] was set.
    #[error("stopped before it was done")]
    Stopped,
    /// A network ran, and what it says makes no sense.
    #[error("{network}: {why}")]
    Output {
        /// The network.
        network: &'static str,
        /// What is wrong.
        why: String,
    },
}

impl Detector {
    /// Loads ONNX Runtime from `library` and both networks.
    ///
    /// # Errors
    /// When library or networks cannot be used: nothing that concerns a photo.
    pub fn load(library: &Path) -> Result<Self, DetectorError> {
        let files = [NANODET.verified()?, CENTERFACE.verified()?];
        Ok(Self {
            pool: Pool::new(library, files)?,
        })
    }

    /// A detector with other networks in the place of the measured ones, to see
    /// what becomes of their faults.
    ///
    /// # Errors
    /// As [`Detector::load`].
    #[cfg(feature = "failpoints")]
    pub fn with_networks(library: &Path, networks: OtherNetworks) -> Result<Self, DetectorError> {
        let files = [
            (NANODET.name, networks.nanodet),
            (CENTERFACE.name, networks.centerface),
        ]
        .map(|(name, bytes)| runtime::File {
            name,
            bytes: bytes.leak(),
        });
        Ok(Self {
            pool: Pool::new(library, files)?,
        })
    }

    /// All that is to be hidden, best first, as boxes in the picture's pixels
    /// with their margins; they may reach beyond the picture's edges.
    ///
    /// # Errors
    /// When a network fails; then nothing is known about the picture.
    pub fn detect(&self, picture: &Picture, settings: &DetectSettings) -> Result<Vec<Found>, DetectorError> {
        let detected = self.detect_until(picture, settings, &Stop::default())?;
        Ok(detected.objects)
    }

    /// The same, until `stop` is set.
    ///
    /// # Errors
    /// As [`Detector::detect`], and when `stop` is set.
    pub fn detect_until(
        &self,
        picture: &Picture,
        settings: &DetectSettings,
        stop: &Stop,
    ) -> Result<Detected, DetectorError> {
        let passes = plan::passes(picture.width, picture.height, &settings.scales);
        let photo = photo(picture, &passes);
        self.pool.with(|networks| {
            let mut search = Search::new(picture, settings, networks, stop);
            let candidates = search.candidates(&passes)?;
            let (counting, second_look) = second_look::select(&mut search, candidates, &photo, settings)?;
            Ok(Detected {
                objects: candidate::objects(&counting, settings),
                second_look,
            })
        })
    }

    /// The people and faces that are clearly visible in an obscured picture and not
    /// covered by the boxes in `hidden`.
    ///
    /// # Errors
    /// As [`Detector::detect_until`].
    pub fn visible_until(
        &self,
        obscured: &Picture,
        hidden: &[Rect],
        settings: &DetectSettings,
        stop: &Stop,
    ) -> Result<Vec<Found>, DetectorError> {
        let Some(pass) = plan::check(obscured.width, obscured.height, &settings.scales) else {
            return Ok(Vec::new());
        };
        self.pool.with(|networks| {
            let mut search = Search::new(obscured, settings, networks, stop);
            check::visible(&mut search, &pass, hidden, settings)
        })
    }
}

/// What the rules for candidates need to know of a picture that is looked at in
/// these passes.
fn photo(picture: &Picture, passes: &[Pass]) -> Photo {
    let (width, height) = (picture.width, picture.height);
    let shown = |look: &Pass| {
        let tiles = look.tiles(width, height);
        tiles.iter().map(|tile| tile.shown(width, height)).collect()
    };
    Photo {
        rect: search::whole(picture),
        looks: match passes {
            [fine, coarse] => Some(Looks {
                fine_tiles: shown(fine),
                coarse: coarse.scale,
            }),
            _ => None,
        },
    }
}
