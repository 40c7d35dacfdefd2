//! Checks the obscured picture for people that are still visible.

use super::{
    DetectorError,
    boxes::{DetectedObject, Rect},
    candidate::Candidate,
    plan::Pass,
    scanner::Scanner,
    settings::DetectSettings,
};
use crate::Class;

/// Minimum scores, in addition to the threshold of the class. Unsure candidates were examined before.
const SURE_FACE: f32 = 0.5;
const SURE_PERSON: f32 = 0.6;

/// A head is hidden if boxes cover this share of it. The network still finds the obscured person.
const HIDDEN: f32 = 0.5;

/// The people and faces with high scores in the obscured picture whose heads are not covered by `hidden`.
pub(super) fn visible(
    scanner: &mut Scanner<'_>,
    pass: &Pass,
    hidden: &[Rect],
    settings: &DetectSettings,
) -> Result<Vec<DetectedObject>, DetectorError> {
    let is_sure = |one: &Candidate| match one.class {
        Class::Face => one.score >= SURE_FACE,
        Class::Person => one.score >= SURE_PERSON,
        _ => false,
    };
    let head = |one: &Candidate| match one.class {
        Class::Face => one.rect,
        _ => one.upper,
    };
    let mut visible = scanner.candidates_once(pass)?;
    visible.retain(|one| is_sure(one) && one.reaches(settings) && head(one).covered_share(hidden) < HIDDEN);
    let found = |one: Candidate| DetectedObject {
        class: one.class,
        score: one.score,
        rect: one.hidden,
        is_repeated: false,
    };
    Ok(visible.into_iter().map(found).collect())
}
