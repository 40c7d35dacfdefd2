//! The second look examines unsure candidates again.
//!
//! Each unsure candidate is cut out with its surroundings and scaled to the size at which the networks work best.
//! People and vehicles are examined in two sizes, one of them mirrored. Candidates whose scores stay low are dropped.
//! docs/detector.md has the figures.
//!
//! The budget is a number of pixels of the networks' input, not a time, so that a photo has the same result on every
//! machine. The largest candidates come first. Candidates that exceed the budget are hidden.

use serde::{Deserialize, Serialize};

use super::{
    DetectorError,
    boxes::Rect,
    candidate::{self, Candidate, MAX_COMPARED, PhotoContext, SURE, SURE_PERSON},
    nanodet::ClassThresholds,
    scanner::{Scanner, TileQuery},
    settings::DetectSettings,
    tiles,
};
use crate::Class;

/// A face of this score needs no second look.
const SURE_FACE: f32 = 0.5;
/// Minimum area of a person's face, share of the person's box.
const SMALLEST_FACE: f32 = 0.01;
/// A vehicle of this score needs no second look.
const SURE_VEHICLE: f32 = 0.5;

/// Minimum sum of the scores that support a face: the score of a person in the first pass, and those of a person and the
/// face in the second look.
const FACE_SUM: f32 = 0.9;
/// Minimum sum of the scores that support a person; see [`Verifier::is_person`].
const PERSON_SUM: f32 = 0.9;
/// Minimum mean of a vehicle's scores in both views.
const VEHICLE_MEAN: f32 = 0.2;
/// The minimum for a vehicle that fills less than [`SMALL_SHARE`] of the photo.
const SMALL_VEHICLE_MEAN: f32 = 0.08;
const SMALL_SHARE: f32 = 0.008;

/// Enlarging does not help with a person of a smaller height, pixels of the photo: there are no more details.
const LEAST_HEIGHT: f32 = 40.0;

/// Candidates that overlap by more (intersection over union) are examined together.
const SAME_IOU: f32 = 0.5;
/// An object in a view is the candidate if they overlap by more than this (intersection over union).
const SEEN_IOU: f32 = 0.35;
/// Minimum share of the smaller of two boxes that lies in the other one, if both show parts of one person.
const SEEN_PART: f32 = 0.7;
/// Maximum ratio of their lengths.
const SEEN_TIMES: f32 = 2.5;

/// Minimum contrast of a view, in levels. With less, the scores say nothing. The views of people in 16 photos with
/// usual contrast have 96 and more.
const LEAST_CONTRAST: u8 = 80;

/// Maximum number of times that candidates are selected again without the rejected ones.
const ROUNDS: usize = 4;

/// Scores below this are ignored.
const LEAST_SCORE: f32 = 0.05;

/// How a candidate is shown to the networks.
struct CandidateView {
    /// Its longer side, pixels of the networks' input.
    object: u32,
    /// Side of the square around it, pixels of the networks' input.
    side: u32,
    is_mirrored: bool,
}

/// A face, with enough around it to see the person.
const FACE: CandidateView = CandidateView {
    object: 32,
    side: 128,
    is_mirrored: false,
};
/// A person or vehicle at the size at which NanoDet's scores are highest.
const WHOLE: CandidateView = CandidateView {
    object: 64,
    side: 128,
    is_mirrored: true,
};
/// A person or vehicle large enough for CenterFace to see a face.
const CLOSE: CandidateView = CandidateView {
    object: 128,
    side: 256,
    is_mirrored: false,
};

impl CandidateView {
    fn pixels(&self) -> u64 {
        u64::from(self.side).pow(2)
    }
}

/// What the second look did, in numbers of candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondLook {
    /// Examined again.
    pub examined: u32,
    /// Examined and dropped.
    pub dropped: u32,
    /// Not examined, because the budget was spent or the contrast is too low. They are hidden.
    pub skipped: u32,
}

/// The candidates that count after a second look, best first.
///
/// Photos with hardly any contrast get no second look: all their scores are low, and it would drop too much.
pub(super) fn select(
    scanner: &mut Scanner<'_>,
    mut candidates: Vec<Candidate>,
    photo: &PhotoContext,
    settings: &DetectSettings,
) -> Result<(Vec<Candidate>, SecondLook), DetectorError> {
    let budget = (f64::from(settings.scales.second_look_megapixels) * 1e6) as u64;
    let selected = candidate::select(candidates.clone(), photo, settings);
    if budget == 0 || candidates.len() > MAX_COMPARED || scanner.has_spread_levels() {
        return Ok((selected, SecondLook::default()));
    }
    let filtered = |matches: fn(&Candidate) -> bool| candidates.iter().copied().filter(matches).collect();
    let mut verifier = Verifier {
        scanner,
        photo,
        people: filtered(|one| one.class == Class::Person),
        sure_faces: filtered(|one| one.class == Class::Face && one.score >= SURE_FACE),
        budget,
        counts: SecondLook::default(),
    };
    // Faces come first, because they confirm people. Their scores mean less if people are not detected.
    if settings.classes.contains(&Class::Person) {
        let no_faces = verifier.rejected(&selected, |one| one.class == Class::Face)?;
        candidates.retain(|one| !no_faces.contains(one));
    }
    let selected = select_verified(
        candidates,
        |candidates| candidate::select(candidates, photo, settings),
        |selected| verifier.rejected(selected, |one| one.class != Class::Face),
    )?;
    Ok((selected, verifier.counts))
}

/// The candidates that `select` chooses and `reject` does not return, best first.
///
/// Without a rejected candidate, `select` may choose others that it covered. They are examined as well, for [`ROUNDS`]
/// rounds; candidates selected after that count.
fn select_verified<E>(
    mut candidates: Vec<Candidate>,
    select: impl Fn(Vec<Candidate>) -> Vec<Candidate>,
    mut reject: impl FnMut(&[Candidate]) -> Result<Vec<Candidate>, E>,
) -> Result<Vec<Candidate>, E> {
    let mut counting: Vec<Candidate> = Vec::new();
    for _ in 0..ROUNDS {
        let mut new = select(candidates.clone());
        new.retain(|one| !counting.contains(one));
        let rejected = reject(&new)?;
        new.retain(|one| !rejected.contains(one));
        counting.extend(new);
        if rejected.is_empty() {
            return Ok(best_first(counting));
        }
        candidates.retain(|one| !rejected.contains(one));
    }
    let mut last = select(candidates);
    last.retain(|one| !counting.contains(one));
    counting.extend(last);
    Ok(best_first(counting))
}

fn best_first(mut candidates: Vec<Candidate>) -> Vec<Candidate> {
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    candidates
}

struct Verifier<'j, 's> {
    scanner: &'j mut Scanner<'s>,
    photo: &'j PhotoContext,
    /// People of the first pass.
    people: Vec<Candidate>,
    sure_faces: Vec<Candidate>,
    /// Remaining pixels of the networks' input.
    budget: u64,
    counts: SecondLook,
}

impl Verifier<'_, '_> {
    /// The candidates of a kind whose scores stay low, and those with lower scores that overlap with one of them.
    fn rejected(
        &mut self,
        candidates: &[Candidate],
        is_of_kind: fn(&Candidate) -> bool,
    ) -> Result<Vec<Candidate>, DetectorError> {
        let mut groups: Vec<Vec<Candidate>> = Vec::new();
        for candidate in candidates.iter().filter(|one| is_of_kind(one)) {
            let is_same = |group: &&mut Vec<Candidate>| {
                group[0].class.group() == candidate.class.group()
                    && group[0].rect.iou(&candidate.rect) > SAME_IOU
            };
            match groups.iter_mut().find(is_same) {
                Some(group) => group.push(*candidate),
                None => groups.push(vec![*candidate]),
            }
        }
        groups.retain(|group| self.is_unsure(&group[0]));
        groups.sort_by(|a, b| b[0].rect.area().total_cmp(&a[0].rect.area()));
        let mut rejected = Vec::new();
        for group in groups {
            let Some(counts) = self.verify(&group[0])? else {
                self.counts.skipped += 1;
                continue;
            };
            self.counts.examined += 1;
            if !counts {
                self.counts.dropped += 1;
                rejected.extend(group);
            }
        }
        Ok(rejected)
    }

    fn is_unsure(&self, candidate: &Candidate) -> bool {
        match candidate.class {
            Class::Face => candidate.score < SURE_FACE && self.person_around(candidate) < SURE,
            Class::Person => {
                candidate.score < SURE_PERSON
                    && candidate.upright_height() >= LEAST_HEIGHT
                    && !self.has_sure_face(candidate)
            }
            _ => candidate.score < SURE_VEHICLE,
        }
    }

    /// Whether a sure face lies where the person's head is.
    fn has_sure_face(&self, person: &Candidate) -> bool {
        self.sure_faces.iter().any(|face| {
            person.upper.contains_center(&face.rect) && face.rect.area() >= SMALLEST_FACE * person.rect.area()
        })
    }

    /// The highest score of a person of the first pass around a face.
    fn person_around(&self, face: &Candidate) -> f32 {
        let is_around = |person: &&Candidate| person.rect.overlap(&face.rect) > SEEN_PART * face.rect.area();
        let scores = self.people.iter().filter(is_around).map(|person| person.score);
        scores.fold(0.0, f32::max)
    }

    /// Whether a candidate counts; `None` if the budget is spent, or the contrast is too low to decide.
    fn verify(&mut self, candidate: &Candidate) -> Result<Option<bool>, DetectorError> {
        let views: &[CandidateView] = match candidate.class {
            Class::Face => &[FACE],
            _ => &[WHOLE, CLOSE],
        };
        let cost = views.iter().map(CandidateView::pixels).sum();
        let Some(left) = self.budget.checked_sub(cost) else {
            return Ok(None);
        };
        self.budget = left;
        let counts = match candidate.class {
            Class::Face => self.is_face(candidate)?,
            Class::Person => self.is_person(candidate)?,
            _ => self.is_vehicle(candidate)?,
        };
        let is_decided = counts || self.scanner.contrast() >= LEAST_CONTRAST;
        Ok(is_decided.then_some(counts))
    }

    fn is_face(&mut self, face: &Candidate) -> Result<bool, DetectorError> {
        let seen = self.scan_view(face, &FACE, true)?;
        let person = best(&seen, |one| {
            one.class == Class::Person && one.rect.overlap(&face.rect) > SEEN_PART * face.rect.area()
        });
        let again = best(&seen, |one| {
            one.class == Class::Face && one.rect.iou(&face.rect) > SEEN_IOU
        });
        Ok(self.person_around(face) + person + again >= FACE_SUM)
    }

    /// Whether the sum of the scores suffices: 1.5 times the first pass's, those of both views, and twice that of a face in
    /// it. The weights are close to those of a logistic regression on 700 candidates.
    fn is_person(&mut self, person: &Candidate) -> Result<bool, DetectorError> {
        let is_it = |one: &Candidate| one.class == Class::Person && is_same_person(&one.rect, &person.rect);
        let whole = best(&self.scan_view(person, &WHOLE, false)?, is_it);
        let close = self.scan_view(person, &CLOSE, true)?;
        let face = best(&close, |one| {
            one.class == Class::Face && one.rect.overlap(&person.rect) > 0.5 * one.rect.area()
        });
        Ok(1.5 * person.score + whole + best(&close, is_it) + 2.0 * face >= PERSON_SUM)
    }

    fn is_vehicle(&mut self, vehicle: &Candidate) -> Result<bool, DetectorError> {
        let is_it = |one: &Candidate| one.class != Class::Person && one.rect.iou(&vehicle.rect) > SEEN_IOU;
        let whole = best(&self.scan_view(vehicle, &WHOLE, false)?, is_it);
        let close = best(&self.scan_view(vehicle, &CLOSE, false)?, is_it);
        let least = if self.photo.share(&vehicle.rect) < SMALL_SHARE {
            SMALL_VEHICLE_MEAN
        } else {
            VEHICLE_MEAN
        };
        Ok((whole + close) / 2.0 >= least)
    }

    fn scan_view(
        &mut self,
        candidate: &Candidate,
        view: &CandidateView,
        with_faces: bool,
    ) -> Result<Vec<Candidate>, DetectorError> {
        let Rect { right, bottom, .. } = self.photo.rect;
        let tile = tiles::around(
            &candidate.rect,
            view.object,
            view.side,
            right as u32,
            bottom as u32,
        );
        let query = TileQuery {
            classes: ClassThresholds(Class::ALL.iter().map(|&class| (class, LEAST_SCORE)).collect()),
            face: with_faces.then_some(LEAST_SCORE),
        };
        self.scanner
            .scan_tile(&tile, candidate.rotation, view.is_mirrored, &query)
    }
}

/// The highest score of the matching candidates; 0 if there is none.
fn best(candidates: &[Candidate], matches: impl Fn(&Candidate) -> bool) -> f32 {
    let scores = candidates.iter().filter(|one| matches(one)).map(|one| one.score);
    scores.fold(0.0, f32::max)
}

/// Whether two boxes show the same person, or parts of the same.
fn is_same_person(a: &Rect, b: &Rect) -> bool {
    let times = a.width().max(a.height()) / b.width().max(b.height()).max(1.0);
    a.iou(b) > SEEN_IOU
        || (a.overlap(b) > SEEN_PART * a.area().min(b.area())
            && (1.0 / SEEN_TIMES..SEEN_TIMES).contains(&times))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::detector::rotation::Rotation;

    fn person(score: f32) -> Candidate {
        let rect = Rect {
            left: 0.0,
            top: 0.0,
            right: 100.0,
            bottom: 200.0,
        };
        Candidate {
            class: Class::Person,
            score,
            rect,
            hidden: rect,
            upper: rect,
            input_size: 200.0,
            scale: 1.0,
            is_best_class: true,
            rotation: Rotation::None,
        }
    }

    /// The scores that count if each candidate covers all lower ones, and the number of examined candidates.
    fn scores(candidates: &[f32], is_rejected: fn(f32) -> bool) -> (Vec<f32>, usize) {
        let mut asked = 0;
        let counting = select_verified::<Infallible>(
            candidates.iter().map(|score| person(*score)).collect(),
            |candidates| best_first(candidates).into_iter().take(1).collect(),
            |selected| {
                asked += selected.len();
                Ok(selected
                    .iter()
                    .filter(|one| is_rejected(one.score))
                    .copied()
                    .collect())
            },
        );
        let Ok(counting) = counting;
        (counting.iter().map(|one| one.score).collect(), asked)
    }

    #[test]
    fn a_rejected_candidate_no_longer_covers_others() {
        assert_eq!(scores(&[0.4, 0.6, 0.2], |_| false), (vec![0.6], 1));
        assert_eq!(scores(&[0.4, 0.6, 0.2], |score| score > 0.5), (vec![0.4], 2));
    }

    #[test]
    fn candidates_left_after_the_last_round_count() {
        let (counting, asked) = scores(&[0.45, 0.44, 0.43, 0.42, 0.41, 0.40], |_| true);
        assert_eq!((counting, asked), (vec![0.41], ROUNDS));
    }
}
