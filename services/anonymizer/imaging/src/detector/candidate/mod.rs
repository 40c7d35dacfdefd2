//! Which of the networks' reports count.
//!
//! A network reports the same object several times, and things that are no
//! people with low scores. Two looks at different scales make different
//! mistakes, so an unsure report of a person counts only where the other look
//! or a face confirms it. docs/detector.md has the figures.

use contract::Class;

use super::{
    boxes::{Found, Rect},
    settings::DetectSettings,
    tiles,
};

/// A person of this score counts without confirmation.
const SURE: f32 = 0.5;
/// Least score of a person in the other look, or of a face, that confirms an
/// unsure person.
const CONFIRMING: f32 = 0.2;
/// A smaller person, in pixels of the coarse look's input, cannot be seen there.
const VISIBLE_HEIGHT: f32 = 16.0;

/// Share of the photo from which on a person is large.
const LARGE_PERSON: f32 = 0.04;
/// A large person of this score counts without confirmation.
const LARGE_SURE: f32 = 0.45;
/// Least score of a person in the other look that confirms a large one.
const LARGE_CONFIRMING: f32 = 0.35;
/// Least score of a face that confirms a large person.
const LARGE_FACE: f32 = 0.3;
/// A large unsure person that overlaps a surer one by more (intersection over
/// union) is another view of it.
const SAME_LARGE_IOU: f32 = 0.3;

/// Two boxes of the same person differ by less than this (intersection over
/// union); the surer one is enough.
const SAME_PERSON_IOU: f32 = 0.6;
/// Boxes of the other look are the same object from here on (intersection over
/// union).
const OTHER_LOOK_IOU: f32 = 0.3;
/// Share of the smaller box that another one covers if they are one object.
const MOSTLY: f32 = 0.8;

/// Share of the photo from which on a vehicle is large.
const LARGE_VEHICLE: f32 = 0.06;
/// Least score of a large box whose best class is car: construction machines
/// look like trucks, hardly like cars.
const LARGE_CAR: f32 = 0.5;

/// One report of a network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// What it is.
    pub class: Class,
    /// The network's score, 0 to 1.
    pub score: f32,
    /// Where it is, as the network means it.
    pub rect: Rect,
    /// What is hidden if it counts: `rect` and its margins.
    pub hidden: Rect,
    /// Height of a person or vehicle, longer side of a face; pixels of the
    /// network's input.
    pub input_size: f32,
    /// Pixels of the network's input for each pixel of the photo. Tells looks
    /// apart.
    pub scale: f32,
    /// Whether the network finds no other class more likely there.
    pub is_best_class: bool,
}

/// The photo that the candidates are of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Photo {
    /// Width and height multiplied, pixels.
    pub area: f32,
    /// Scales of the fine and the coarse look; `None` where there was one look.
    pub scales: Option<(f32, f32)>,
}

/// Of boxes of one class that overlap by more than `iou`, the one with the
/// highest score stays (non-maximum suppression). Best first.
#[must_use]
pub fn suppress(mut found: Vec<Candidate>, iou: f32) -> Vec<Candidate> {
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in found {
        let same = |k: &Candidate| k.class == candidate.class && k.rect.iou(&candidate.rect) > iou;
        if !kept.iter().any(same) {
            kept.push(candidate);
        }
    }
    kept
}

/// The candidates that count, best first. What another one reports already is
/// marked as repeated.
pub(super) fn select(mut candidates: Vec<Candidate>, photo: Photo, settings: &DetectSettings) -> Vec<Found> {
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    let of = |class: fn(&Candidate) -> bool| candidates.iter().copied().filter(class).collect();
    let evidence = Evidence {
        photo,
        settings,
        people: of(|one| one.class == Class::Person && one.score >= CONFIRMING),
        faces: of(|one| one.class == Class::Face && one.score >= CONFIRMING),
    };
    let mut people: Vec<Rect> = Vec::new();
    let mut selected: Vec<Found> = Vec::new();
    for candidate in &candidates {
        if candidate.score < settings.threshold(candidate.class).at(candidate.input_size) {
            continue;
        }
        match candidate.class {
            Class::Person if !evidence.is_person(candidate, &people) => continue,
            Class::Person => people.push(candidate.rect),
            Class::Face => {}
            _ if !evidence.is_vehicle(candidate) => continue,
            _ => {}
        }
        let rect = candidate.hidden;
        let is_repeated = selected.iter().any(|better| {
            let smaller = better.rect.area().min(rect.area());
            better.class == candidate.class
                && (better.rect.iou(&rect) > settings.same_iou
                    || better.rect.overlap(&rect) > MOSTLY * smaller)
        });
        selected.push(Found {
            class: candidate.class,
            score: candidate.score,
            rect,
            is_repeated,
        });
    }
    selected
}

/// What speaks for a candidate.
struct Evidence<'s> {
    photo: Photo,
    settings: &'s DetectSettings,
    people: Vec<Candidate>,
    faces: Vec<Candidate>,
}

impl Evidence<'_> {
    /// Whether a candidate is a person that `people`, which are surer, do not
    /// contain yet.
    fn is_person(&self, candidate: &Candidate, people: &[Rect]) -> bool {
        let same = |iou: f32| people.iter().any(|better| better.iou(&candidate.rect) > iou);
        if same(SAME_PERSON_IOU) {
            return false;
        }
        let is_large = candidate.rect.area() > LARGE_PERSON * self.photo.area;
        if is_large && candidate.score < LARGE_SURE {
            let looks_agree =
                candidate.score >= LARGE_CONFIRMING && self.is_seen_again(candidate, LARGE_CONFIRMING);
            return !same(SAME_LARGE_IOU)
                && (looks_agree || self.has_face(candidate, LARGE_FACE) || self.is_undecidable(candidate));
        }
        candidate.score >= SURE
            || self.is_seen_again(candidate, CONFIRMING)
            || self.has_face(candidate, CONFIRMING)
            || self.is_undecidable(candidate)
    }

    /// Whether the other look reports a person of this score there.
    fn is_seen_again(&self, candidate: &Candidate, least: f32) -> bool {
        self.people.iter().any(|other| {
            other.score >= least
                && other.scale != candidate.scale
                && other.rect.iou(&candidate.rect) > OTHER_LOOK_IOU
        })
    }

    /// Whether a face of this score lies in it.
    fn has_face(&self, candidate: &Candidate, least: f32) -> bool {
        let in_it = |face: &Candidate| face.score >= least && candidate.rect.contains_center(&face.rect);
        self.faces.iter().any(in_it)
    }

    /// Whether the other look cannot see it, or faces are not looked for: a
    /// doubt hides.
    fn is_undecidable(&self, candidate: &Candidate) -> bool {
        let Some((fine, coarse)) = self.photo.scales else {
            return true;
        };
        let rect = &candidate.rect;
        rect.width().max(rect.height()) * fine > tiles::LARGEST_WHOLE
            || rect.height() * coarse < VISIBLE_HEIGHT
            || !self.settings.classes.contains(&Class::Face)
    }

    /// Whether a candidate is a vehicle rather than a construction machine.
    fn is_vehicle(&self, candidate: &Candidate) -> bool {
        let least = match candidate.class {
            _ if candidate.rect.area() <= LARGE_VEHICLE * self.photo.area => return true,
            Class::Car if candidate.is_best_class => LARGE_CAR.min(self.settings.large_vehicle),
            _ => self.settings.large_vehicle,
        };
        candidate.score >= least
    }
}

#[cfg(test)]
mod tests;
