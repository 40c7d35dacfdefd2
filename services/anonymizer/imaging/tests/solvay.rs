//! The 1927 Solvay photograph: 29 of 29 heads are hidden, at every size and
//! however it is stored.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/resize.rs"]
mod resize;
mod support;

use imaging::{
    AnonymizeSettings, anonymize,
    picture::{self, Limits},
};
use resize::resized;
use support::{DETECTOR, SOLVAY, SOLVAY_FACES, covered, head, sample};

const LIMITS: Limits = Limits {
    bytes: u64::MAX,
    pixels: u64::MAX,
};

fn assert_all_hidden(jpeg: &[u8], scale: f32) {
    let anonymized = anonymize(jpeg, &AnonymizeSettings::default(), &DETECTOR).unwrap();
    let seen: Vec<_> = SOLVAY_FACES
        .iter()
        .map(|face| head(*face, scale))
        .filter(|head| covered(head, &anonymized.detections) < 0.95)
        .collect();
    assert!(
        seen.is_empty(),
        "{} of 29 heads can be seen: {seen:?}",
        seen.len()
    );
}

#[test]
fn all_heads_are_hidden_at_full_size() {
    assert_all_hidden(&sample(SOLVAY), 1.0);
}

#[test]
fn all_heads_are_hidden_at_half_and_quarter_size() {
    let picture = picture::decode(&sample(SOLVAY), &LIMITS).unwrap();
    for divisor in [2, 4] {
        let shrunk = resized(&picture, picture.width / divisor, picture.height / divisor);
        let jpeg = picture::encode(&shrunk, 90).unwrap();
        assert_all_hidden(&jpeg, 1.0 / divisor as f32);
    }
}
