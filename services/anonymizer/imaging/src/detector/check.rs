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
    visible.retain(|one| is_sure(one) && one.reaches(settings) && head(one).covered_share(hidden) < HIDDEN);
    let found = |one: Candidate| Found {
        class: one.class,
        score: one.score,
        rect: one.hidden,
        is_repeated: false,
    };
    Ok(visible.into_iter().map(found).collect())
}
