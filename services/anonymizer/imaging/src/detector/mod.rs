//! Finds people, faces and vehicles in a picture.

#[cfg(test)]
mod agreement;
mod boxes;
mod canvas;
mod centerface;
mod model;
mod nanodet;
mod plan;
mod runtime;
mod settings;
mod tiles;

use std::path::{Path, PathBuf};

use contract::Class;

pub use boxes::{Found, Growth, InvalidGrowth, Rect};
pub use model::WrongModel;
pub use settings::{DetectSettings, Effort, Scales, Threshold, UnknownEffort};

use self::{
    canvas::Canvas,
    runtime::{Networks, Pool},
};
use crate::picture::Picture;

/// Neighbouring cells of one network report one thing; what differs by less
/// than this is the same report.
const SAME_CELL_IOU: f32 = 0.8;

/// The two networks, ready to run. Shared between threads: each photo in work
/// has sessions of its own.
pub struct Detector {
    pool: Pool,
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
}

impl Detector {
    /// Loads ONNX Runtime from `library` and both networks.
    ///
    /// # Errors
    /// When library or networks cannot be used: nothing that concerns a photo.
    pub fn load(library: &Path) -> Result<Self, DetectorError> {
        Ok(Self {
            pool: Pool::load(library)?,
        })
    }

    /// All that is found in the picture, each thing once, best first, as boxes
    /// in its pixels, already grown to what is to be hidden; they may reach
    /// beyond the picture's edges.
    ///
    /// # Errors
    /// When a network fails; then nothing is known about the picture.
    pub fn detect(&self, picture: &Picture, settings: &DetectSettings) -> Result<Vec<Found>, DetectorError> {
        self.pool.with(|networks| {
            let mut canvas = Canvas::default();
            let mut found = Vec::new();
            for pass in plan::passes(picture.width, picture.height, &settings.scales) {
                for tile in pass.tiles(picture.width, picture.height) {
                    canvas.place(picture, &tile)?;
                    let seen = look(networks, &mut canvas, settings)?;
                    found.extend(seen.into_iter().map(|thing| Found {
                        rect: tile.to_photo(&thing.rect).grown(settings.growth(thing.class)),
                        ..thing
                    }));
                }
            }
            Ok(boxes::fuse(found, settings.same_iou))
        })
    }
}

/// What both networks see on the canvas, in its pixels.
fn look(
    networks: &mut Networks,
    canvas: &mut Canvas,
    settings: &DetectSettings,
) -> Result<Vec<Found>, DetectorError> {
    let mut found = Vec::new();
    let wanted = settings.wanted();
    if !wanted.is_empty() {
        let seen = nanodet::find(&mut networks.nanodet, canvas, &wanted)?;
        found.extend(boxes::suppress(seen, SAME_CELL_IOU));
    }
    if settings.classes.contains(&Class::Face) {
        found.extend(centerface::find(&mut networks.centerface, canvas, settings.face)?);
    }
    Ok(found)
}
