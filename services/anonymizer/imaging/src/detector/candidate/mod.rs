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
};

/// A person of this score counts without confirmation.
const SURE: f32 = 0.5;
/// Least score of a person in the other look, or of a face, that confirms an
/// unsure person.
pub(super) const CONFIRMING: f32 = 0.2;
/// A smaller person, in pixels of the coarse look's input, cannot be seen there.
const VISIBLE_HEIGHT: f32 = 16.0;

/// Share of the photo from which on a person is large.
const LARGE_PERSON: f32 = 0.04;
/// Below this score a large person needs more than other unsure people.
const LARGE_SURE: f32 = 0.45;
/// Least score of a large person, and of one in the other look that confirms
/// it.
const LARGE_CONFIRMING: f32 = 0.35;
/// Least score of a face that confirms a large person.
const LARGE_FACE: f32 = 0.3;
/// A large unsure person that overlaps a surer one by more (intersection over
/// union) is another view of it.
const SAME_LARGE_IOU: f32 = 0.45;

/// Share of a person's box from which on a surer one, with its margins, covers
/// it: nothing is left to hide.
const COVERED: f32 = 0.95;
/// Boxes of the other look are the same object from here on (intersection over
/// union).
const OTHER_LOOK_IOU: f32 = 0.3;
/// Share of the smaller box that another one covers if they are one object.
const MOSTLY: f32 = 0.8;

/// Comparing more candidates than this with each other would take seconds.
/// Then all that reach their thresholds count: a doubt hides.
const MAX_COMPARED: usize = 10_000;

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

/// The photo that the candidates are of, and how it was looked at.
#[derive(Clone, Debug)]
pub(super) struct Photo {
    /// All of it, pixels.
    pub rect: Rect,
    /// The looks; `None` where there was only one.
    pub looks: Option<Looks>,
}

/// The two looks at a photo.
#[derive(Clone, Debug)]
pub(super) struct Looks {
    /// Parts of the photo that the fine look shows as a whole, pixels.
    pub fine_tiles: Vec<Rect>,
    /// Scale of the coarse look.
    pub coarse: f32,
}

impl Candidate {
    /// Whether it can confirm a person, even below its own threshold.
    fn is_evidence(&self) -> bool {
        matches!(self.class, Class::Person | Class::Face) && self.score >= CONFIRMING
    }
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
pub(super) fn select(mut candidates: Vec<Candidate>, photo: &Photo, settings: &DetectSettings) -> Vec<Found> {
    let reaches = |one: &Candidate| one.score >= settings.threshold(one.class).at(one.input_size);
    candidates.retain(|one| reaches(one) || one.is_evidence());
    let is_compared = candidates.len() <= MAX_COMPARED;
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    let of = |class: fn(&Candidate) -> bool| candidates.iter().copied().filter(class).collect();
    let evidence = Evidence {
        photo,
        settings,
        people: of(|one| one.class == Class::Person && one.is_evidence()),
        faces: of(|one| one.class == Class::Face && one.is_evidence()),
    };
    let mut people: Vec<Candidate> = Vec::new();
    let mut selected: Vec<Found> = Vec::new();
    for candidate in &candidates {
        if !reaches(candidate) {
            continue;
        }
        match candidate.class {
            _ if !is_compared => {}
            Class::Person if !evidence.is_person(candidate, &people) => continue,
            Class::Person => people.push(*candidate),
            Class::Face => {}
            _ if !evidence.is_vehicle(candidate) => continue,
            _ => {}
        }
        let rect = candidate.hidden;
        let is_same = |better: &Found| {
            let smaller = better.rect.area().min(rect.area());
            better.class == candidate.class
                && (better.rect.iou(&rect) > settings.same_iou
                    || better.rect.overlap(&rect) > MOSTLY * smaller)
        };
        selected.push(Found {
            class: candidate.class,
            score: candidate.score,
            rect,
            is_repeated: is_compared && selected.iter().any(is_same),
        });
    }
    selected
}

/// What speaks for a candidate.
struct Evidence<'s> {
    photo: &'s Photo,
    settings: &'s DetectSettings,
    people: Vec<Candidate>,
    faces: Vec<Candidate>,
}

impl Evidence<'_> {
    /// Whether a candidate is a person that `people`, which are surer, do not
    /// contain yet.
    fn is_person(&self, candidate: &Candidate, people: &[Candidate]) -> bool {
        let rect = &candidate.rect;
        if people
            .iter()
            .any(|better| better.hidden.overlap(rect) >= COVERED * rect.area())
        {
            return false;
        }
        let is_large = self.share(rect) > LARGE_PERSON;
        if is_large && candidate.score < LARGE_SURE {
            let is_likely = candidate.score >= LARGE_CONFIRMING
                && (self.is_undecidable(candidate) || self.is_seen_again(candidate, LARGE_CONFIRMING));
            return (is_likely || self.has_face(candidate, LARGE_FACE))
                && !people.iter().any(|better| better.rect.iou(rect) > SAME_LARGE_IOU);
        }
        candidate.score >= SURE
            || self.is_seen_again(candidate, CONFIRMING)
            || self.has_face(candidate, CONFIRMING)
            || self.is_undecidable(candidate)
    }

    /// Which share of the photo a box covers.
    fn share(&self, rect: &Rect) -> f32 {
        self.photo.rect.overlap(rect) / self.photo.rect.area()
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
        let Some(Looks { fine_tiles, coarse }) = &self.photo.looks else {
            return true;
        };
        let rect = &candidate.rect;
        let upright_height = candidate.input_size / candidate.scale;
        let in_photo = self.photo.rect.overlap(rect);
        rect.height().min(upright_height) * coarse < VISIBLE_HEIGHT
            || !fine_tiles
                .iter()
                .any(|tile| tile.overlap(rect) >= COVERED * in_photo)
            || !self.settings.classes.contains(&Class::Face)
    }

    /// Whether a candidate is a vehicle rather than a construction machine.
    fn is_vehicle(&self, candidate: &Candidate) -> bool {
        let least = match candidate.class {
            _ if self.share(&candidate.rect) <= LARGE_VEHICLE => return true,
            Class::Car if candidate.is_best_class => LARGE_CAR.min(self.settings.large_vehicle),
            _ => self.settings.large_vehicle,
        };
        candidate.score >= least
    }
}

#[cfg(test)]
mod tests;
