//! Showing a picture to the networks, part by part.

use contract::Class;

use super::{
    DetectorError, Stop,
    boxes::Rect,
    candidate::{self, CONFIRMING, Candidate},
    canvas::Canvas,
    centerface,
    levels::{self, Levels},
    nanodet,
    nanodet::Wanted,
    plan::{self, Pass},
    runtime::Networks,
    settings::DetectSettings,
    tiles::Tile,
    turn::Turn,
};
use crate::picture::Picture;

/// Neighbouring cells of one network report one thing; what differs by less
/// than this is the same report.
const SAME_CELL_IOU: f32 = 0.8;

/// The upper part of a person, in which the head is, share of the height.
const UPPER: f32 = 0.4;

/// Scores from here on say how a photo hangs.
const SURELY_A_FACE: f32 = 0.35;
/// The sum of scores below which nothing is known about how a photo hangs.
const LEAST_VOTES: f32 = 0.5;
/// A turn with this share of the votes of the photo as it is may be the right
/// one, or another one for some of the people.
const RIVALS: f32 = 0.8;

/// What is asked of the two networks, and from which score on.
#[derive(Clone, Debug)]
pub(super) struct Question {
    /// Of NanoDet.
    pub wanted: Wanted,
    /// Lowest score of a face; `None`: CenterFace is not asked.
    pub face: Option<f32>,
}

/// One picture and the networks that look at it.
pub(super) struct Search<'s> {
    stop: &'s Stop,
    picture: &'s Picture,
    settings: &'s DetectSettings,
    networks: &'s mut Networks,
    canvas: Canvas,
    /// With which levels the picture is shown, one after the other.
    levels: Vec<Option<Levels>>,
}

impl<'s> Search<'s> {
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

    /// Whether all of the picture has so little contrast that it is only shown with spread levels.
    pub fn has_spread_levels(&self) -> bool {
        self.levels.iter().all(Option::is_some)
    }

    /// The contrast of the part that was shown last; see [`Canvas::contrast`].
    pub fn contrast(&self) -> u8 {
        self.canvas.contrast()
    }

    /// All candidates of these looks at the whole picture.
    pub fn candidates(&mut self, passes: &[Pass]) -> Result<Vec<Candidate>, DetectorError> {
        let question = self.question();
        let mut found = Vec::new();
        // As it is last: so the second look sees it.
        for levels in self.levels.clone().into_iter().rev() {
            self.canvas.set_levels(levels);
            let (turns, faces) = self.upright()?;
            found.extend(faces);
            for pass in passes {
                for &turn in [Turn::None].iter().chain(&turns) {
                    found.extend(self.pass(pass, turn, &question)?);
                }
            }
        }
        Ok(found)
    }

    /// All candidates of one look at the whole picture, not turned.
    pub fn candidates_once(&mut self, pass: &Pass) -> Result<Vec<Candidate>, DetectorError> {
        let question = self.question();
        let mut found = Vec::new();
        for levels in self.levels.clone() {
            self.canvas.set_levels(levels);
            found.extend(self.pass(pass, Turn::None, &question)?);
        }
        Ok(found)
    }

    /// What the settings want to know, and what can confirm it.
    fn question(&self) -> Question {
        let settings = self.settings;
        let of_nanodet = settings.classes.iter().filter(|class| **class != Class::Face);
        let least = |class: Class| match class {
            Class::Person => settings.person.least().min(CONFIRMING),
            _ => settings.threshold(class).least(),
        };
        Question {
            wanted: Wanted(of_nanodet.map(|&class| (class, least(class))).collect()),
            face: self.face(),
        }
    }

    /// The lowest score of a face that is of use; `None` if none is.
    fn face(&self) -> Option<f32> {
        let settings = self.settings;
        let is_wanted = settings.classes.contains(&Class::Face);
        is_wanted.then(|| settings.face.least().min(CONFIRMING))
    }

    /// The turns, beside none, after which people may be upright: those with
    /// about as many faces as the photo as it is. And the faces.
    fn upright(&mut self) -> Result<(Vec<Turn>, Vec<Candidate>), DetectorError> {
        let (width, height) = (self.picture.width, self.picture.height);
        let pass = plan::turned(width, height, &self.settings.scales);
        let (Some(pass), face @ Some(_)) = (pass, self.face()) else {
            return Ok((Vec::new(), Vec::new()));
        };
        let question = Question {
            wanted: Wanted::default(),
            face,
        };
        let mut found = self.pass(&pass, Turn::None, &question)?;
        let as_it_is = votes(&found);
        let mut upright = Vec::new();
        for turn in Turn::OTHERS {
            let faces = self.pass(&pass, turn, &question)?;
            if votes(&faces) >= LEAST_VOTES.max(RIVALS * as_it_is) {
                upright.push(turn);
            }
            found.extend(faces);
        }
        Ok((upright, found))
    }

    /// Looks at the whole picture once.
    fn pass(
        &mut self,
        pass: &Pass,
        turn: Turn,
        question: &Question,
    ) -> Result<Vec<Candidate>, DetectorError> {
        let mut found = Vec::new();
        for tile in pass.tiles(self.picture.width, self.picture.height) {
            found.extend(
                self.look(&tile, turn, false, question)?
                    .into_iter()
                    .map(|seen| Candidate {
                        scale: pass.scale,
                        ..seen
                    }),
            );
        }
        Ok(found)
    }

    /// What the networks see in one part of the picture after a turn, and
    /// mirrored if so wanted. Boxes are in the picture's pixels.
    pub fn look(
        &mut self,
        tile: &Tile,
        turn: Turn,
        is_mirrored: bool,
        question: &Question,
    ) -> Result<Vec<Candidate>, DetectorError> {
        if self.stop.is_set() {
            return Err(DetectorError::Stopped);
        }
        self.canvas.place(self.picture, tile)?;
        if self.canvas.is_plain() {
            return Ok(Vec::new());
        }
        let (width, height) = (self.canvas.width(), self.canvas.height());
        if turn != Turn::None {
            self.canvas.turn(turn);
        }
        if is_mirrored {
            self.canvas.mirror();
        }
        let turned_width = self.canvas.width() as f32;
        let mut found = Vec::new();
        if !question.wanted.is_empty() {
            let seen = nanodet::find(&mut self.networks.nanodet, &mut self.canvas, &question.wanted)?;
            found.extend(candidate::suppress(seen, SAME_CELL_IOU));
        }
        if let Some(least) = question.face {
            let seen = centerface::find(&mut self.networks.centerface, &mut self.canvas, least)?;
            found.extend(seen);
        }
        let in_picture = |rect: Rect| {
            let rect = if is_mirrored {
                rect.mirrored(turned_width)
            } else {
                rect
            };
            tile.to_photo(&turn.back(rect, width, height))
        };
        for one in &mut found {
            // Upwards is where the head is: grown before it is turned back.
            let grown = one.rect.grown(self.settings.growth(one.class));
            one.upper = in_picture(Rect {
                bottom: UPPER.mul_add(one.rect.height(), one.rect.top),
                ..one.rect
            });
            one.rect = in_picture(one.rect);
            one.hidden = in_picture(grown);
            one.turn = turn;
        }
        // Objects in the mirrored border are copies of objects in the picture.
        let picture = whole(self.picture);
        found.retain(|one| picture.overlap(&one.rect) > 0.0);
        Ok(found)
    }
}

/// The sum of the scores of all faces that are surely faces.
fn votes(faces: &[Candidate]) -> f32 {
    let scores = faces.iter().map(|face| face.score);
    scores.filter(|score| *score >= SURELY_A_FACE).sum()
}

/// All of a picture as a box.
pub(super) fn whole(picture: &Picture) -> Rect {
    Rect {
        left: 0.0,
        top: 0.0,
        right: picture.width as f32,
        bottom: picture.height as f32,
    }
}
