//! Finds people, faces and vehicles in a picture.

#[cfg(test)]
mod agreement;
mod boxes;
mod candidate;
mod canvas;
mod centerface;
mod levels;
mod model;
mod nanodet;
mod output;
mod plan;
mod runtime;
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

use contract::Class;

pub use boxes::{Found, Growth, InvalidGrowth, Rect};
pub use model::WrongModel;
pub use settings::{DetectSettings, Effort, Scales, Threshold, UnknownEffort};

use self::{
    candidate::{Candidate, Looks, Photo},
    canvas::Canvas,
    model::{CENTERFACE, NANODET},
    nanodet::Wanted,
    plan::Pass,
    runtime::{Networks, Pool},
    turn::Turn,
};
use crate::picture::Picture;

/// Neighbouring cells of one network report one thing; what differs by less
/// than this is the same report.
const SAME_CELL_IOU: f32 = 0.8;

/// Scores from here on say how a photo hangs.
const SURELY_A_FACE: f32 = 0.35;
/// The sum of scores below which nothing is known about how a photo hangs.
const LEAST_VOTES: f32 = 0.5;
/// A turn with this share of the votes of the photo as it is may be the right
/// one, or another one for some of the people.
const RIVALS: f32 = 0.8;

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

/// Ends work on a picture from another thread; clones are one.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// The work ends with an error, soon: within one tile.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
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
        self.detect_until(picture, settings, &Stop::default())
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
    ) -> Result<Vec<Found>, DetectorError> {
        self.pool.with(|networks| {
            let mut search = Search {
                stop,
                picture,
                settings,
                networks,
                canvas: Canvas::with_levels(levels::of(picture)),
                found: Vec::new(),
            };
            let upright = search.upright()?;
            let passes = plan::passes(picture.width, picture.height, &settings.scales);
            for pass in &passes {
                search.pass(pass, Turn::None, &settings.wanted())?;
                for &turn in &upright {
                    search.pass(pass, turn, &settings.wanted())?;
                }
            }
            let (width, height) = (picture.width, picture.height);
            let shown = |look: &Pass| {
                look.tiles(width, height)
                    .iter()
                    .map(|tile| tile.shown(width, height))
                    .collect()
            };
            let photo = Photo {
                rect: Rect {
                    left: 0.0,
                    top: 0.0,
                    right: width as f32,
                    bottom: height as f32,
                },
                looks: match &passes[..] {
                    [fine, coarse] => Some(Looks {
                        fine_tiles: shown(fine),
                        coarse: coarse.scale,
                    }),
                    _ => None,
                },
            };
            Ok(candidate::select(search.found, &photo, settings))
        })
    }
}

/// Looking at one picture.
struct Search<'s> {
    stop: &'s Stop,
    picture: &'s Picture,
    settings: &'s DetectSettings,
    networks: &'s mut Networks,
    canvas: Canvas,
    found: Vec<Candidate>,
}

impl Search<'_> {
    /// The turns, beside none, after which people may be upright: those with
    /// about as many faces as the photo as it is.
    fn upright(&mut self) -> Result<Vec<Turn>, DetectorError> {
        if !self.settings.classes.contains(&Class::Face) {
            return Ok(Vec::new());
        }
        let (width, height) = (self.picture.width, self.picture.height);
        let Some(pass) = plan::turned(width, height, &self.settings.scales) else {
            return Ok(Vec::new());
        };
        let as_it_is = self.votes(&pass, Turn::None)?;
        let mut upright = Vec::new();
        for turn in Turn::OTHERS {
            let votes = self.votes(&pass, turn)?;
            if votes >= LEAST_VOTES && votes >= RIVALS * as_it_is {
                upright.push(turn);
            }
        }
        Ok(upright)
    }

    /// The sum of the scores of all faces that are surely faces. What is found
    /// on the way counts.
    fn votes(&mut self, pass: &Pass, turn: Turn) -> Result<f32, DetectorError> {
        let before = self.found.len();
        self.pass(pass, turn, &Wanted::default())?;
        let scores = self.found[before..].iter().map(|face| face.score);
        Ok(scores.filter(|score| *score >= SURELY_A_FACE).sum())
    }

    /// Looks at the whole picture once: for faces, and with NanoDet for what is
    /// wanted of it.
    fn pass(&mut self, pass: &Pass, turn: Turn, wanted: &Wanted) -> Result<(), DetectorError> {
        for tile in pass.tiles(self.picture.width, self.picture.height) {
            if self.stop.is_set() {
                return Err(DetectorError::Stopped);
            }
            self.canvas.place(self.picture, &tile)?;
            if self.canvas.is_plain() {
                continue;
            }
            let (width, height) = (self.canvas.width(), self.canvas.height());
            if turn != Turn::None {
                self.canvas.turn(turn);
            }
            for candidate in self.look(wanted)? {
                // Upwards is where the head is: grown before it is turned back.
                let grown = candidate.rect.grown(self.settings.growth(candidate.class));
                let in_photo = |rect: Rect| tile.to_photo(&turn.back(rect, width, height));
                self.found.push(Candidate {
                    rect: in_photo(candidate.rect),
                    hidden: in_photo(grown),
                    scale: pass.scale,
                    ..candidate
                });
            }
        }
        Ok(())
    }

    /// What the networks see on the canvas, in its pixels.
    fn look(&mut self, wanted: &Wanted) -> Result<Vec<Candidate>, DetectorError> {
        let mut found = Vec::new();
        if !wanted.is_empty() {
            let seen = nanodet::find(&mut self.networks.nanodet, &mut self.canvas, wanted)?;
            found.extend(candidate::suppress(seen, SAME_CELL_IOU));
        }
        if self.settings.classes.contains(&Class::Face) {
            let least = self.settings.face.least().min(candidate::CONFIRMING);
            let seen = centerface::find(&mut self.networks.centerface, &mut self.canvas, least)?;
            found.extend(seen);
        }
        Ok(found)
    }
}
