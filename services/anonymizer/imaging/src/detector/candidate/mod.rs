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
    turn::Turn,
};

/// A person of this score counts without confirmation.
pub(super) const SURE: f32 = 0.5;
/// A person of this score is one, and not another view of a surer one.
pub(super) const SURE_PERSON: f32 = 0.75;
/// Least score of a person in the other look, or of a face, that confirms an
/// unsure person.
pub(super) const CONFIRMING: f32 = 0.2;
/// A smaller person, in pixels of the coarse look's input, cannot be seen there.
const VISIBLE_HEIGHT: f32 = 16.0;

/// A person lower than this, in pixels of the photo, and of a score under
/// [`SMALL_SURE`] counts only if it is upright.
const SMALL_HEIGHT: f32 = 40.0;
const SMALL_SURE: f32 = 0.3;
/// Greatest width of an upright person, share of the height.
const UPRIGHT_WIDTH: f32 = 0.8;

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
/// Share of the upper part of a person's box from which on people with higher scores hide
/// the head. The box shows one of them again, or all of them as a group.
const UPPER_COVERED: f32 = 0.9;
/// Boxes of the other look are the same object from here on (intersection over
/// union).
const OTHER_LOOK_IOU: f32 = 0.3;
/// Share of the smaller box that another one covers if they are one object.
const MOSTLY: f32 = 0.8;

/// Comparing more candidates than this with each other would take seconds.
/// Then all that reach their thresholds count: a doubt hides.
pub const MAX_COMPARED: usize = 10_000;

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
    /// The upper part of `rect`, where a person's head is.
    pub upper: Rect,
    /// Height of a person or vehicle, longer side of a face; pixels of the
    /// network's input.
    pub input_size: f32,
    /// Pixels of the network's input for each pixel of the photo. Tells looks
    /// apart.
    pub scale: f32,
    /// Whether the network finds no other class more likely there.
    pub is_best_class: bool,
    /// How the photo was turned when the network saw it.
    pub turn: Turn,
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

impl Photo {
    /// Which share of the photo a box covers.
    pub fn share(&self, rect: &Rect) -> f32 {
        self.rect.overlap(rect) / self.rect.area()
    }
}

impl Candidate {
    /// The height of a person or vehicle when the photo is turned so that it is
    /// upright; pixels of the photo.
    pub fn upright_height(&self) -> f32 {
        self.input_size / self.scale
    }

    /// Whether its score is enough for its class and size.
    pub fn reaches(&self, settings: &DetectSettings) -> bool {
        self.score >= settings.threshold(self.class).at(self.input_size)
    }

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

/// The candidates that count, best first.
pub(super) fn select(
    mut candidates: Vec<Candidate>,
    photo: &Photo,
    settings: &DetectSettings,
) -> Vec<Candidate> {
    candidates.retain(|one| one.reaches(settings) || one.is_evidence());
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    if candidates.len() > MAX_COMPARED {
        candidates.retain(|one| one.reaches(settings));
        return candidates;
    }
    let of = |class: fn(&Candidate) -> bool| candidates.iter().copied().filter(class).collect();
    let evidence = Evidence {
        photo,
        settings,
        people: of(|one| one.class == Class::Person && one.is_evidence()),
        faces: of(|one| one.class == Class::Face && one.is_evidence()),
    };
    let (mut people, mut vehicles): (Vec<Candidate>, Vec<Candidate>) = Default::default();
    candidates.retain(|candidate| {
        if !candidate.reaches(settings) {
            return false;
        }
        let (counts, better) = match candidate.class {
            Class::Face => return true,
            Class::Person => (evidence.is_person(candidate, &people), &mut people),
            _ => (evidence.is_vehicle(candidate, &vehicles), &mut vehicles),
        };
        if counts {
            better.push(*candidate);
        }
        counts
    });
    candidates
}

/// What is hidden, and what is reported: of several candidates for one object,
/// which come best first, all are hidden and the first is reported.
pub(super) fn objects(candidates: &[Candidate], settings: &DetectSettings) -> Vec<Found> {
    let is_compared = candidates.len() <= MAX_COMPARED;
    let mut objects: Vec<Found> = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let rect = candidate.hidden;
        let is_same = |better: &Found| {
            let smaller = better.rect.area().min(rect.area());
            better.class == candidate.class
                && (better.rect.iou(&rect) > settings.same_iou
                    || better.rect.overlap(&rect) > MOSTLY * smaller)
        };
        objects.push(Found {
            class: candidate.class,
            score: candidate.score,
            rect,
            is_repeated: is_compared && objects.iter().any(is_same),
        });
    }
    objects
}

/// Whether people with higher scores hide the head of one more.
fn hide_head_of(person: &Candidate, people: &[Candidate]) -> bool {
    let hidden = people.iter().map(|better| better.hidden);
    let near: Vec<Rect> = hidden.filter(|rect| rect.overlap(&person.upper) > 0.0).collect();
    person.upper.covered_share(&near) >= UPPER_COVERED
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
        let height = candidate.upright_height();
        if height < SMALL_HEIGHT
            && candidate.score < SMALL_SURE
            && rect.area() > UPRIGHT_WIDTH * height * height
        {
            return false;
        }
        let covers = |better: &Candidate| better.hidden.overlap(rect) >= COVERED * rect.area();
        if people.iter().any(covers) || (candidate.score < SURE_PERSON && hide_head_of(candidate, people)) {
            return false;
        }
        let is_large = self.photo.share(rect) > LARGE_PERSON;
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

    /// Whether the other look reports a person of this score there.
    fn is_seen_again(&self, candidate: &Candidate, least: f32) -> bool {
        self.people.iter().any(|other| {
            other.score >= least
                && other.scale != candidate.scale
                && other.rect.iou(&candidate.rect) > OTHER_LOOK_IOU
        })
    }

    /// Whether a face of this score lies where its head is. After another turn of the photo, the
    /// head may be at any side of the box.
    fn has_face(&self, candidate: &Candidate, least: f32) -> bool {
        let is_its = |face: &Candidate| {
            let head = if face.turn == candidate.turn {
                &candidate.upper
            } else {
                &candidate.rect
            };
            face.score >= least && head.contains_center(&face.rect)
        };
        self.faces.iter().any(is_its)
    }

    /// Whether the other look cannot see it, or faces are not looked for: a
    /// doubt hides.
    fn is_undecidable(&self, candidate: &Candidate) -> bool {
        let Some(Looks { fine_tiles, coarse }) = &self.photo.looks else {
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

    /// Whether a candidate is a vehicle, rather than a construction machine or one of
    /// `vehicles`, which have higher scores, in another box.
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
