//! Selects the networks' candidates that count.
//!
//! A network reports the same object several times, and other things as people with low scores. Two passes at different
//! scales make different mistakes, so an unsure person counts only if the other pass or a face confirms it.
//! docs/detector.md has the figures.

use super::{
    boxes::{DetectedObject, Rect},
    rotation::Rotation,
    settings::DetectSettings,
};
use crate::Class;

/// A person of this score counts without confirmation.
pub(super) const SURE: f32 = 0.5;
/// A person of this score is not another view of one with a higher score.
pub(super) const SURE_PERSON: f32 = 0.75;
/// Minimum score of a person in the other pass, or of a face, that confirms an unsure person.
pub(super) const CONFIRMING: f32 = 0.2;
/// Minimum height of a person that the coarse pass can find, in pixels of its input.
const VISIBLE_HEIGHT: f32 = 16.0;

/// A person of a smaller height, in pixels of the photo, and a score under [`SMALL_SURE`] counts only if it is upright.
const SMALL_HEIGHT: f32 = 40.0;
const SMALL_SURE: f32 = 0.3;
/// Maximum width of an upright person, share of the height.
const UPRIGHT_WIDTH: f32 = 0.8;

/// A person that fills more than this share of the photo is large.
const LARGE_PERSON: f32 = 0.04;
/// A large person with a lower score needs more confirmation than other unsure people.
const LARGE_SURE: f32 = 0.45;
/// Minimum score of a large person, and of one in the other pass that confirms it.
const LARGE_CONFIRMING: f32 = 0.35;
/// Minimum score of a face that confirms a large person.
const LARGE_FACE: f32 = 0.3;
/// A large unsure person that overlaps one with a higher score by more (intersection over union) is another view of it.
const SAME_LARGE_IOU: f32 = 0.45;

/// A person with a higher score hides another one if its box with margins covers this share of the other box.
const COVERED: f32 = 0.95;
/// People with higher scores hide a person's head if they cover this share of the upper part of its box. The box shows one
/// of them again, or all of them as a group.
const UPPER_COVERED: f32 = 0.9;
/// Boxes of the other pass that overlap by more (intersection over union) are the same object.
const OTHER_PASS_IOU: f32 = 0.3;
/// Two boxes are one object if they share more than this part of the smaller one.
const MOSTLY: f32 = 0.8;

/// Comparing more candidates with each other would take seconds. With more, all that reach their thresholds count.
pub const MAX_COMPARED: usize = 10_000;

/// A vehicle that fills more than this share of the photo is large.
const LARGE_VEHICLE: f32 = 0.06;
/// Minimum score of a large box whose best class is car: construction machines look like trucks, but rarely like cars.
const LARGE_CAR: f32 = 0.5;

/// One report of a network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    pub class: Class,
    /// The network's score, 0 to 1.
    pub score: f32,
    /// The box as the network reports it.
    pub rect: Rect,
    /// `rect` with its margins. It is hidden if the candidate counts.
    pub hidden: Rect,
    /// The upper part of `rect`, where a person's head is.
    pub upper: Rect,
    /// Height of a person or vehicle, longer side of a face; pixels of the network's input.
    pub input_size: f32,
    /// Pixels of the network's input for each pixel of the photo; different for each pass.
    pub scale: f32,
    /// Whether no other class has a higher score there.
    pub is_best_class: bool,
    /// Rotation of the photo when the network ran.
    pub rotation: Rotation,
}

/// The photo of the candidates, and how it was scanned.
#[derive(Clone, Debug)]
pub(super) struct PhotoContext {
    /// The whole photo, pixels.
    pub rect: Rect,
    /// The passes; `None` if there was only one.
    pub passes: Option<Passes>,
}

/// The two passes over a photo.
#[derive(Clone, Debug)]
pub(super) struct Passes {
    /// Parts of the photo that the fine pass shows in one piece, pixels.
    pub fine_tiles: Vec<Rect>,
    /// Scale of the coarse pass.
    pub coarse: f32,
}

impl PhotoContext {
    /// The share of the photo that a box covers.
    pub fn share(&self, rect: &Rect) -> f32 {
        self.rect.overlap(rect) / self.rect.area()
    }
}

impl Candidate {
    /// The height of a person or vehicle after the rotation, pixels of the photo.
    pub fn upright_height(&self) -> f32 {
        self.input_size / self.scale
    }

    /// Whether the score reaches the threshold of its class and size.
    pub fn reaches(&self, settings: &DetectSettings) -> bool {
        self.score >= settings.threshold(self.class).at(self.input_size)
    }

    /// Whether it can confirm a person, even below its own threshold.
    fn is_evidence(&self) -> bool {
        matches!(self.class, Class::Person | Class::Face) && self.score >= CONFIRMING
    }
}

/// Of boxes of one class that overlap by more than `iou`, keeps the one with the highest score (non-maximum suppression).
/// Best first.
#[must_use]
pub fn suppress(mut found: Vec<Candidate>, iou: f32) -> Vec<Candidate> {
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut selected: Vec<Candidate> = Vec::new();
    for candidate in found {
        let same = |k: &Candidate| k.class == candidate.class && k.rect.iou(&candidate.rect) > iou;
        if !selected.iter().any(same) {
            selected.push(candidate);
        }
    }
    selected
}

/// The candidates that count, best first.
pub(super) fn select(
    mut candidates: Vec<Candidate>,
    photo: &PhotoContext,
    settings: &DetectSettings,
) -> Vec<Candidate> {
    candidates.retain(|one| one.reaches(settings) || one.is_evidence());
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    if candidates.len() > MAX_COMPARED {
        candidates.retain(|one| one.reaches(settings));
        return candidates;
    }
    let filtered = |class: fn(&Candidate) -> bool| candidates.iter().copied().filter(class).collect();
    let support = SupportingCandidates {
        photo,
        settings,
        people: filtered(|one| one.class == Class::Person && one.is_evidence()),
        faces: filtered(|one| one.class == Class::Face && one.is_evidence()),
    };
    let (mut people, mut vehicles): (Vec<Candidate>, Vec<Candidate>) = Default::default();
    candidates.retain(|candidate| {
        if !candidate.reaches(settings) {
            return false;
        }
        let (counts, better) = match candidate.class {
            Class::Face => return true,
            Class::Person => (support.is_person(candidate, &people), &mut people),
            _ => (support.is_vehicle(candidate, &vehicles), &mut vehicles),
        };
        if counts {
            better.push(*candidate);
        }
        counts
    });
    candidates
}

/// The objects to hide. Of several candidates for one object, which come best first, all are hidden and the first is
/// reported.
pub(super) fn objects(candidates: &[Candidate], settings: &DetectSettings) -> Vec<DetectedObject> {
    let is_compared = candidates.len() <= MAX_COMPARED;
    let mut objects: Vec<DetectedObject> = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let rect = candidate.hidden;
        let is_same = |better: &DetectedObject| {
            let smaller = better.rect.area().min(rect.area());
            better.class == candidate.class
                && (better.rect.iou(&rect) > settings.same_iou
                    || better.rect.overlap(&rect) > MOSTLY * smaller)
        };
        objects.push(DetectedObject {
            class: candidate.class,
            score: candidate.score,
            rect,
            is_repeated: is_compared && objects.iter().any(is_same),
        });
    }
    objects
}

/// Whether people with higher scores hide the head of this one.
fn is_head_hidden(person: &Candidate, people: &[Candidate]) -> bool {
    let hidden = people.iter().map(|better| better.hidden);
    let near: Vec<Rect> = hidden.filter(|rect| rect.overlap(&person.upper) > 0.0).collect();
    person.upper.covered_share(&near) >= UPPER_COVERED
}

/// The candidates that can confirm others.
struct SupportingCandidates<'s> {
    photo: &'s PhotoContext,
    settings: &'s DetectSettings,
    people: Vec<Candidate>,
    faces: Vec<Candidate>,
}

impl SupportingCandidates<'_> {
    /// Whether a candidate is a person that is not among `people`, which have higher scores.
    fn is_person(&self, candidate: &Candidate, people: &[Candidate]) -> bool {
        let rect = &candidate.rect;
        let height = candidate.upright_height();
        if height < SMALL_HEIGHT
            && candidate.score < SMALL_SURE
            && rect.area() > UPRIGHT_WIDTH * height * height
        {
            return false;
        }
        let covers = |better: &Candidate| better.hidden.overlap(rect) >= COVERED * rect.area();
        if people.iter().any(covers) || (candidate.score < SURE_PERSON && is_head_hidden(candidate, people)) {
            return false;
        }
        let is_large = self.photo.share(rect) > LARGE_PERSON;
        if is_large && candidate.score < LARGE_SURE {
            let is_likely = candidate.score >= LARGE_CONFIRMING
                && (self.is_undecidable(candidate)
                    || self.is_confirmed_by_other_pass(candidate, LARGE_CONFIRMING));
            return (is_likely || self.has_face(candidate, LARGE_FACE))
                && !people.iter().any(|better| better.rect.iou(rect) > SAME_LARGE_IOU);
        }
        candidate.score >= SURE
            || self.is_confirmed_by_other_pass(candidate, CONFIRMING)
            || self.has_face(candidate, CONFIRMING)
            || self.is_undecidable(candidate)
    }

    /// Whether the other pass reports a person of at least this score there.
    fn is_confirmed_by_other_pass(&self, candidate: &Candidate, least: f32) -> bool {
        self.people.iter().any(|other| {
            other.score >= least
                && other.scale != candidate.scale
                && other.rect.iou(&candidate.rect) > OTHER_PASS_IOU
        })
    }

    /// Whether a face of at least this score lies where the head is. After another rotation, the head may be at any side
    /// of the box.
    fn has_face(&self, candidate: &Candidate, least: f32) -> bool {
        let is_its = |face: &Candidate| {
            let head = if face.rotation == candidate.rotation {
                &candidate.upper
            } else {
                &candidate.rect
            };
            face.score >= least && head.contains_center(&face.rect)
        };
        self.faces.iter().any(is_its)
    }

    /// Whether the other pass cannot find it, or faces are not detected. Such a candidate is hidden.
    fn is_undecidable(&self, candidate: &Candidate) -> bool {
        let Some(Passes { fine_tiles, coarse }) = &self.photo.passes else {
            return true;
        };
        let rect = &candidate.rect;
        let in_photo = self.photo.rect.overlap(rect);
        rect.height().min(candidate.upright_height()) * coarse < VISIBLE_HEIGHT
            || !fine_tiles
                .iter()
                .any(|tile| tile.overlap(rect) >= COVERED * in_photo)
            || !self.settings.classes.contains(&Class::Face)
    }

    /// Whether a candidate is a vehicle, rather than a construction machine, or another box of one of `vehicles`, which have
    /// higher scores.
    fn is_vehicle(&self, candidate: &Candidate, vehicles: &[Candidate]) -> bool {
        let rect = &candidate.rect;
        let is_same = |better: &Candidate| {
            better.rect.iou(rect) > self.settings.same_iou
                || better.hidden.overlap(rect) > MOSTLY * rect.area()
        };
        if vehicles.iter().any(is_same) {
            return false;
        }
        let least = match candidate.class {
            _ if self.photo.share(&candidate.rect) <= LARGE_VEHICLE => return true,
            Class::Car if candidate.is_best_class => LARGE_CAR.min(self.settings.large_vehicle),
            _ => self.settings.large_vehicle,
        };
        candidate.score >= least
    }
}

#[cfg(test)]
mod tests;
