//! Runs the networks on a picture, tile by tile.

use super::{
    DetectorError, Stop,
    boxes::Rect,
    candidate::{self, CONFIRMING, Candidate},
    canvas::Canvas,
    centerface,
    levels::{self, Levels},
    nanodet,
    nanodet::ClassThresholds,
    plan::{self, Pass},
    rotation::Rotation,
    runtime::Networks,
    settings::DetectSettings,
    tiles::Tile,
};
use crate::{Class, picture::Picture};

/// Neighbouring cells of a network report the same object. Boxes that overlap by more are one report.
const SAME_CELL_IOU: f32 = 0.8;

/// The upper part of a person, in which the head is, share of the height.
const UPPER: f32 = 0.4;

/// Minimum score of a face that votes for a rotation.
const MIN_VOTING_FACE: f32 = 0.35;
/// Minimum sum of scores for a rotation.
const MIN_VOTES: f32 = 0.5;
/// A rotation with this share of the unrotated photo's votes may be right, at least for some of the people.
const RIVALS: f32 = 0.8;

/// The classes to find in a tile, and their minimum scores.
#[derive(Clone, Debug)]
pub(super) struct TileQuery {
    /// For NanoDet.
    pub classes: ClassThresholds,
    /// Minimum score of a face; `None`: CenterFace does not run.
    pub face: Option<f32>,
}

/// A picture and the networks that scan it.
pub(super) struct Scanner<'s> {
    stop: &'s Stop,
    picture: &'s Picture,
    settings: &'s DetectSettings,
    networks: &'s mut Networks,
    canvas: Canvas,
    /// The levels with which the picture is scanned, one after the other.
    levels: Vec<Option<Levels>>,
}

impl<'s> Scanner<'s> {
    pub fn new(
        picture: &'s Picture,
        settings: &'s DetectSettings,
        networks: &'s mut Networks,
        stop: &'s Stop,
    ) -> Self {
        Self {
            stop,
            picture,
            settings,
            networks,
            canvas: Canvas::default(),
            levels: levels::for_picture(picture),
        }
    }

    /// Whether the picture has so little contrast that it is only scanned with spread levels.
    pub fn has_spread_levels(&self) -> bool {
        self.levels.iter().all(Option::is_some)
    }

    /// The contrast of the last tile; see [`Canvas::contrast`].
    pub fn contrast(&self) -> u8 {
        self.canvas.contrast()
    }

    /// All candidates of these passes.
    pub fn candidates(&mut self, passes: &[Pass]) -> Result<Vec<Candidate>, DetectorError> {
        let query = self.query();
        let mut found = Vec::new();
        // The unchanged levels come last, because the second look uses the last ones.
        for levels in self.levels.clone().into_iter().rev() {
            self.canvas.set_levels(levels);
            let (rotations, faces) = self.upright()?;
            found.extend(faces);
            for pass in passes {
                for &rotation in [Rotation::None].iter().chain(&rotations) {
                    found.extend(self.pass(pass, rotation, &query)?);
                }
            }
        }
        Ok(found)
    }

    /// All candidates of one pass over the unrotated picture.
    pub fn candidates_once(&mut self, pass: &Pass) -> Result<Vec<Candidate>, DetectorError> {
        let query = self.query();
        let mut found = Vec::new();
        for levels in self.levels.clone() {
            self.canvas.set_levels(levels);
            found.extend(self.pass(pass, Rotation::None, &query)?);
        }
        Ok(found)
    }

    /// The classes of the settings, and those that can confirm them.
    fn query(&self) -> TileQuery {
        let settings = self.settings;
        let nanodet_classes = settings.classes.iter().filter(|class| **class != Class::Face);
        let min_score = |class: Class| match class {
            Class::Person => settings.person.min().min(CONFIRMING),
            _ => settings.threshold(class).min(),
        };
        TileQuery {
            classes: ClassThresholds(nanodet_classes.map(|&class| (class, min_score(class))).collect()),
            face: self.face(),
        }
    }

    /// The minimum score of a useful face; `None` if no face is.
    fn face(&self) -> Option<f32> {
        let settings = self.settings;
        let is_used = settings.classes.contains(&Class::Face);
        is_used.then(|| settings.face.min().min(CONFIRMING))
    }

    /// The rotations after which people may be upright, because they show about as many faces as the unrotated photo.
    /// Also returns the faces.
    fn upright(&mut self) -> Result<(Vec<Rotation>, Vec<Candidate>), DetectorError> {
        let (width, height) = (self.picture.width, self.picture.height);
        let pass = plan::rotated(width, height, &self.settings.scales);
        let (Some(pass), face @ Some(_)) = (pass, self.face()) else {
            return Ok((Vec::new(), Vec::new()));
        };
        let query = TileQuery {
            classes: ClassThresholds::default(),
            face,
        };
        let mut found = self.pass(&pass, Rotation::None, &query)?;
        let unrotated = votes(&found);
        let mut upright = Vec::new();
        for rotation in Rotation::OTHERS {
            let faces = self.pass(&pass, rotation, &query)?;
            if votes(&faces) >= MIN_VOTES.max(RIVALS * unrotated) {
                upright.push(rotation);
            }
            found.extend(faces);
        }
        Ok((upright, found))
    }

    /// Scans the whole picture once.
    fn pass(
        &mut self,
        pass: &Pass,
        rotation: Rotation,
        query: &TileQuery,
    ) -> Result<Vec<Candidate>, DetectorError> {
        let mut found = Vec::new();
        for tile in pass.tiles(self.picture.width, self.picture.height) {
            found.extend(
                self.scan_tile(&tile, rotation, false, query)?
                    .into_iter()
                    .map(|seen| Candidate {
                        scale: pass.scale,
                        ..seen
                    }),
            );
        }
        Ok(found)
    }

    /// The candidates in one tile, rotated and, if requested, mirrored. Boxes are in the picture's pixels.
    pub fn scan_tile(
        &mut self,
        tile: &Tile,
        rotation: Rotation,
        is_mirrored: bool,
        query: &TileQuery,
    ) -> Result<Vec<Candidate>, DetectorError> {
        if self.stop.is_set() {
            return Err(DetectorError::Stopped);
        }
        self.canvas.draw(self.picture, tile)?;
        if self.canvas.is_plain() {
            return Ok(Vec::new());
        }
        let (width, height) = (self.canvas.width(), self.canvas.height());
        if rotation != Rotation::None {
            self.canvas.rotate(rotation);
        }
        if is_mirrored {
            self.canvas.mirror();
        }
        let rotated_width = self.canvas.width() as f32;
        let mut found = Vec::new();
        if !query.classes.is_empty() {
            let objects = nanodet::find(&mut self.networks.nanodet, &mut self.canvas, &query.classes)?;
            found.extend(candidate::suppress(objects, SAME_CELL_IOU));
        }
        if let Some(min_score) = query.face {
            let faces = centerface::find(&mut self.networks.centerface, &mut self.canvas, min_score)?;
            found.extend(faces);
        }
        let in_picture = |rect: Rect| {
            let rect = if is_mirrored {
                rect.mirrored(rotated_width)
            } else {
                rect
            };
            tile.to_photo(&rotation.undo(rect, width, height))
        };
        for one in &mut found {
            // The head is at the top, so the margins are added before the rotation is undone.
            let expanded = one.rect.expanded(self.settings.margins(one.class));
            one.upper = in_picture(Rect {
                bottom: UPPER.mul_add(one.rect.height(), one.rect.top),
                ..one.rect
            });
            one.rect = in_picture(one.rect);
            one.hidden = in_picture(expanded);
            one.rotation = rotation;
        }
        // Objects in the mirrored border are copies of objects in the picture.
        let picture = whole(self.picture);
        found.retain(|one| picture.overlap(&one.rect) > 0.0);
        Ok(found)
    }
}

/// The sum of the scores of all faces that vote.
fn votes(faces: &[Candidate]) -> f32 {
    let scores = faces.iter().map(|face| face.score);
    scores.filter(|score| *score >= MIN_VOTING_FACE).sum()
}

/// The whole picture as a box.
pub(super) fn whole(picture: &Picture) -> Rect {
    Rect {
        left: 0.0,
        top: 0.0,
        right: picture.width as f32,
        bottom: picture.height as f32,
    }
}
