//! Checks the obscured picture for people who are still visible.

use contract::Class;

use super::{
    DetectorError,
    boxes::{Found, Rect},
    candidate::Candidate,
    plan::Pass,
    search::Search,
    settings::DetectSettings,
};

/// Scores from which on a report counts, if it reaches the threshold of its class,
/// too. Unsure candidates were judged before.
const SURE_FACE: f32 = 0.5;
const SURE_PERSON: f32 = 0.6;

/// A head is hidden if boxes cover this share of it. The network still finds the
/// obscured person.
const HIDDEN: f32 = 0.5;

/// The covered share of a box is estimated at this many points across and down.
const POINTS: u32 = 8;

/// The people and faces that the networks are sure of in the obscured picture,
/// though nothing in `hidden` covers their heads.
pub(super) fn visible(
    search: &mut Search<'_>,
    pass: &Pass,
    hidden: &[Rect],
    settings: &DetectSettings,
) -> Result<Vec<Found>, DetectorError> {
    let is_sure = |one: &Candidate| match one.class {
        Class::Face => one.score >= SURE_FACE,
        Class::Person => one.score >= SURE_PERSON,
        _ => false,
    };
    let head = |one: &Candidate| match one.class {
        Class::Face => one.rect,
        _ => one.upper,
    };
    let mut visible = search.candidates_once(pass)?;
    visible.retain(|one| is_sure(one) && one.reaches(settings) && hidden_share(&head(one), hidden) < HIDDEN);
    let found = |one: Candidate| Found {
        class: one.class,
        score: one.score,
        rect: one.hidden,
        is_repeated: false,
    };
    Ok(visible.into_iter().map(found).collect())
}

/// Which share of a box's points lies in one of the others.
fn hidden_share(rect: &Rect, hidden: &[Rect]) -> f32 {
    let at = |low: f32, length: f32, point: u32| low + length * (point as f32 + 0.5) / POINTS as f32;
    let is_hidden = |point: &u32| {
        let x = at(rect.left, rect.width(), point % POINTS);
        let y = at(rect.top, rect.height(), point / POINTS);
        let covers = |one: &Rect| (one.left..one.right).contains(&x) && (one.top..one.bottom).contains(&y);
        hidden.iter().any(covers)
    };
    (0..POINTS * POINTS).filter(is_hidden).count() as f32 / (POINTS * POINTS) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn rect(left: f32, top: f32, right: f32, bottom: f32) -> Rect {
        Rect {
            left,
            top,
            right,
            bottom,
        }
    }

    #[test]
    fn boxes_hide_together_what_each_hides_in_part() {
        let head = rect(100.0, 100.0, 140.0, 140.0);
        let upper = rect(0.0, 0.0, 200.0, 120.0);
        let left = rect(0.0, 0.0, 120.0, 200.0);
        let share = |hidden: &[Rect]| hidden_share(&head, hidden);
        assert!(share(&[]).abs() < f32::EPSILON);
        assert!((share(&[upper]) - 0.5).abs() < f32::EPSILON);
        assert!((share(&[upper, left]) - 0.75).abs() < f32::EPSILON);
    }
}
