//! A second look at what is unsure.
//!
//! Each unsure candidate is looked at by itself: cut out with its surroundings and
//! brought to the size at which the networks are best. People and vehicles are shown
//! in two sizes, one of them mirrored. What stays weak is dropped. docs/detector.md
//! has the figures.
//!
//! The looks have a budget in pixels of the networks' input, which is what time
//! follows: so a photo gives the same result on every machine. The largest
//! candidates come first. What is left when the budget is spent is hidden.

use contract::Class;
use serde::{Deserialize, Serialize};

use super::{
    DetectorError,
    boxes::Rect,
    candidate::{self, Candidate, MAX_COMPARED, Photo, SURE, SURE_PERSON},
    nanodet::Wanted,
    search::{Question, Search},
    settings::DetectSettings,
    tiles,
};

/// A face of this score needs no second look.
const SURE_FACE: f32 = 0.5;
/// Least area of a person's face, share of the person's box.
const SMALLEST_FACE: f32 = 0.01;
/// A vehicle of this score needs no second look.
const SURE_VEHICLE: f32 = 0.5;

/// Least sum of the scores that speak for a face: of a person in the first look,
/// of a person and of the face in the second.
const FACE_SUM: f32 = 0.9;
/// Least sum of the scores that speak for a person; see [`Judge::is_person`].
const PERSON_SUM: f32 = 0.9;
/// Least mean of a vehicle's scores in both views.
const VEHICLE_MEAN: f32 = 0.2;
/// The same of a vehicle that fills less than [`SMALL_SHARE`] of the photo.
const SMALL_VEHICLE_MEAN: f32 = 0.08;
const SMALL_SHARE: f32 = 0.008;

/// A person lower than this, in pixels of the photo, has no more details to show:
/// enlarged, it is judged no better.
const LEAST_HEIGHT: f32 = 40.0;

/// Candidates that overlap by more (intersection over union) share one look.
const SAME_IOU: f32 = 0.5;
/// What a view shows is the candidate from this overlap on (intersection over
/// union).
const SEEN_IOU: f32 = 0.35;
/// Share of the smaller of two boxes that lies in the other one if the two show
/// parts of one person.
const SEEN_PART: f32 = 0.7;
/// So many times as long at most is one of them as the other.
const SEEN_TIMES: f32 = 2.5;

/// A view with less contrast, in levels, says nothing. The views of people in 16 photos with
/// usual contrast have 96 and more.
const LEAST_CONTRAST: u8 = 80;

/// How many times at most the candidates are selected anew without those that were rejected.
const ROUNDS: usize = 4;

/// Lower scores say nothing.
const LEAST_SCORE: f32 = 0.05;

/// How a candidate is shown.
struct View {
    /// Its longer side, pixels of the networks' input.
    object: u32,
    /// Side of the square around it, pixels of the networks' input.
    side: u32,
    is_mirrored: bool,
}

/// A face, with so much around it that its person is seen.
const FACE: View = View {
    object: 32,
    side: 128,
    is_mirrored: false,
};
/// A person or vehicle at the size at which NanoDet is surest.
const WHOLE: View = View {
    object: 64,
    side: 128,
    is_mirrored: true,
};
/// A person or vehicle so large that CenterFace sees its face.
const CLOSE: View = View {
    object: 128,
    side: 256,
    is_mirrored: false,
};

impl View {
    fn pixels(&self) -> u64 {
        u64::from(self.side).pow(2)
    }
}

/// What the second look did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondLook {
    /// Candidates that were looked at again.
    pub looked_at: u32,
    /// Of these, the ones that were dropped.
    pub dropped: u32,
    /// Candidates that could not be judged: the budget did not suffice, or they have too little
    /// contrast. They count.
    pub left_out: u32,
}

/// The candidates that count after a second look, best first.
///
/// There is none where it would drop too much: in photos with hardly any contrast, in
/// which all scores are low.
pub(super) fn select(
    search: &mut Search<'_>,
    mut candidates: Vec<Candidate>,
    photo: &Photo,
    settings: &DetectSettings,
) -> Result<(Vec<Candidate>, SecondLook), DetectorError> {
    let budget = (f64::from(settings.scales.second_look_megapixels) * 1e6) as u64;
    let selected = candidate::select(candidates.clone(), photo, settings);
    if budget == 0 || candidates.len() > MAX_COMPARED || search.has_spread_levels() {
        return Ok((selected, SecondLook::default()));
    }
    let of = |is_meant: fn(&Candidate) -> bool| candidates.iter().copied().filter(is_meant).collect();
    let mut judge = Judge {
        search,
        photo,
        people: of(|one| one.class == Class::Person),
        sure_faces: of(|one| one.class == Class::Face && one.score >= SURE_FACE),
        budget,
        done: SecondLook::default(),
    };
    // Faces first: they confirm people. Without people to look for, their scores mean less.
    if settings.classes.contains(&Class::Person) {
        let no_faces = judge.rejected(&selected, |one| one.class == Class::Face)?;
        candidates.retain(|one| !no_faces.contains(one));
    }
    let selected = judged(
        candidates,
        |candidates| candidate::select(candidates, photo, settings),
        |selected| judge.rejected(selected, |one| one.class != Class::Face),
    )?;
    Ok((selected, judge.done))
}

/// The candidates that `select` chooses and `reject` does not return, best first.
///
/// Without a rejected candidate, `select` may choose others that it stood for. They are judged as well,
/// for [`ROUNDS`] rounds; what is chosen after that counts.
fn judged<E>(
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

struct Judge<'j, 's> {
    search: &'j mut Search<'s>,
    photo: &'j Photo,
    /// The first look's.
    people: Vec<Candidate>,
    sure_faces: Vec<Candidate>,
    /// Pixels of the networks' input that are left.
    budget: u64,
    done: SecondLook,
}

impl Judge<'_, '_> {
    /// The candidates of a kind that stay weak, and those that overlap with one
    /// of them and are weaker.
    fn rejected(
        &mut self,
        candidates: &[Candidate],
        is_of_kind: fn(&Candidate) -> bool,
    ) -> Result<Vec<Candidate>, DetectorError> {
        let mut groups: Vec<Vec<Candidate>> = Vec::new();
        for candidate in candidates.iter().filter(|one| is_of_kind(one)) {
            let is_same = |group: &&mut Vec<Candidate>| {
                kind(group[0].class) == kind(candidate.class) && group[0].rect.iou(&candidate.rect) > SAME_IOU
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
            let Some(counts) = self.counts(&group[0])? else {
                self.done.left_out += 1;
                continue;
            };
            self.done.looked_at += 1;
            if !counts {
                self.done.dropped += 1;
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

    /// The highest score of a person of the first look around a face.
    fn person_around(&self, face: &Candidate) -> f32 {
        let is_around = |person: &&Candidate| person.rect.overlap(&face.rect) > SEEN_PART * face.rect.area();
        let scores = self.people.iter().filter(is_around).map(|person| person.score);
        scores.fold(0.0, f32::max)
    }

    /// Whether a candidate counts; `None` if the budget does not suffice, or if there is
    /// too little contrast to judge it.
    fn counts(&mut self, candidate: &Candidate) -> Result<Option<bool>, DetectorError> {
        let views: &[View] = match candidate.class {
            Class::Face => &[FACE],
            _ => &[WHOLE, CLOSE],
        };
        let cost = views.iter().map(View::pixels).sum();
        let Some(left) = self.budget.checked_sub(cost) else {
            return Ok(None);
        };
        self.budget = left;
        let counts = match candidate.class {
            Class::Face => self.is_face(candidate)?,
            Class::Person => self.is_person(candidate)?,
            _ => self.is_vehicle(candidate)?,
        };
        let is_judged = counts || self.search.contrast() >= LEAST_CONTRAST;
        Ok(is_judged.then_some(counts))
    }

    fn is_face(&mut self, face: &Candidate) -> Result<bool, DetectorError> {
        let seen = self.look(face, &FACE, true)?;
        let person = best(&seen, |one| {
            one.class == Class::Person && one.rect.overlap(&face.rect) > SEEN_PART * face.rect.area()
        });
        let again = best(&seen, |one| {
            one.class == Class::Face && one.rect.iou(&face.rect) > SEEN_IOU
        });
        Ok(self.person_around(face) + person + again >= FACE_SUM)
    }

    /// Whether the sum of the scores suffices: 1.5 times the first look's, those of both
    /// views, and twice that of a face in it. A logistic regression on 700
    /// candidates gave about these weights.
    fn is_person(&mut self, person: &Candidate) -> Result<bool, DetectorError> {
        let is_it = |one: &Candidate| one.class == Class::Person && is_same_person(&one.rect, &person.rect);
        let whole = best(&self.look(person, &WHOLE, false)?, is_it);
        let close = self.look(person, &CLOSE, true)?;
        let face = best(&close, |one| {
            one.class == Class::Face && one.rect.overlap(&person.rect) > 0.5 * one.rect.area()
        });
        Ok(1.5 * person.score + whole + best(&close, is_it) + 2.0 * face >= PERSON_SUM)
    }

    fn is_vehicle(&mut self, vehicle: &Candidate) -> Result<bool, DetectorError> {
        let is_it = |one: &Candidate| one.class != Class::Person && one.rect.iou(&vehicle.rect) > SEEN_IOU;
        let whole = best(&self.look(vehicle, &WHOLE, false)?, is_it);
        let close = best(&self.look(vehicle, &CLOSE, false)?, is_it);
        let least = if self.photo.share(&vehicle.rect) < SMALL_SHARE {
            SMALL_VEHICLE_MEAN
        } else {
            VEHICLE_MEAN
        };
        Ok((whole + close) / 2.0 >= least)
    }

    fn look(
        &mut self,
        candidate: &Candidate,
        view: &View,
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
        let question = Question {
            wanted: Wanted(Class::ALL.into_iter().map(|class| (class, LEAST_SCORE)).collect()),
            face: with_faces.then_some(LEAST_SCORE),
        };
        self.search
            .look(&tile, candidate.turn, view.is_mirrored, &question)
    }
}

/// The class that stands for all that a network mixes up with this one.
const fn kind(class: Class) -> Class {
    match class {
        Class::Person | Class::Face => class,
        Class::Bicycle | Class::Car | Class::Motorcycle | Class::Bus | Class::Truck => Class::Car,
    }
}

/// The highest score of what is meant; 0 if it was not seen.
fn best(seen: &[Candidate], is_meant: impl Fn(&Candidate) -> bool) -> f32 {
    let scores = seen.iter().filter(|one| is_meant(one)).map(|one| one.score);
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
    use crate::detector::turn::Turn;

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
            turn: Turn::None,
        }
    }

    /// The scores that count if each candidate stands for all weaker ones, and how many candidates were judged.
    fn scores(candidates: &[f32], is_rejected: fn(f32) -> bool) -> (Vec<f32>, usize) {
        let mut asked = 0;
        let counting = judged::<Infallible>(
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
    fn a_rejected_candidate_no_longer_stands_for_others() {
        assert_eq!(scores(&[0.4, 0.6, 0.2], |_| false), (vec![0.6], 1));
        assert_eq!(scores(&[0.4, 0.6, 0.2], |score| score > 0.5), (vec![0.4], 2));
    }

    #[test]
    fn what_is_left_after_the_last_round_counts() {
        let (counting, asked) = scores(&[0.45, 0.44, 0.43, 0.42, 0.41, 0.40], |_| true);
        assert_eq!((counting, asked), (vec![0.41], ROUNDS));
    }
}
