//! The 1927 Solvay photograph: 29 of 29 heads are hidden, at every size and in every way of storing it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/shapes.rs"]
mod shapes;
mod support;

use imaging::{
    AnonymizeSettings, anonymize,
    detector::Rect,
    picture::{self, DecodeLimits, Picture},
};
use shapes::{resized, turned};
use support::{DETECTOR, SOLVAY, SOLVAY_FACES, coverage, head, photos::png_of, sample};

const LIMITS: DecodeLimits = DecodeLimits {
    bytes: u64::MAX,
    pixels: u64::MAX,
};

#[track_caller]
fn assert_hidden(photo: &[u8], heads: &[Rect]) {
    let anonymized = anonymize(photo, &AnonymizeSettings::default(), &DETECTOR).unwrap();
    let covered = coverage(&anonymized);
    let seen: Vec<_> = heads.iter().filter(|head| covered(head) < 0.95).collect();
    assert!(
        seen.is_empty(),
        "{} of {} heads can be seen: {seen:?}",
        seen.len(),
        heads.len()
    );
}

fn heads(scale: f32) -> Vec<Rect> {
    SOLVAY_FACES.iter().map(|face| head(*face, scale)).collect()
}

fn decoded() -> Picture {
    picture::decode(&sample(SOLVAY), &LIMITS).unwrap()
}

#[test]
fn all_heads_are_hidden_at_full_size() {
    assert_hidden(&sample(SOLVAY), &heads(1.0));
}

#[test]
fn all_heads_are_hidden_at_half_and_quarter_size() {
    let picture = decoded();
    for divisor in [2, 4] {
        let shrunk = resized(&picture, picture.width / divisor, picture.height / divisor);
        let jpeg = picture::encode(&shrunk, 90).unwrap();
        assert_hidden(&jpeg, &heads(1.0 / divisor as f32));
    }
}

#[test]
fn heads_are_hidden_upside_down_and_sideways_without_exif() {
    let (mut picture, mut heads) = (decoded(), heads(1.0));
    for _ in 0..3 {
        for head in &mut heads {
            let Rect {
                left,
                top,
                right,
                bottom,
            } = *head;
            let height = picture.height as f32;
            *head = Rect {
                left: height - bottom,
                top: left,
                right: height - top,
                bottom: right,
            };
        }
        picture = turned(&picture);
        assert_hidden(&picture::encode(&picture, 90).unwrap(), &heads);
    }
}

#[test]
fn heads_are_hidden_in_the_dark_and_in_fog() {
    // Five values remain. Without brightening, the detector finds a third of the heads in the dark, and none in the fog.
    let dark = |value: u8| value / 60;
    let fog = |value: u8| 230 + value / 60;
    for fade in [dark, fog] {
        let mut picture = decoded();
        picture.pixels.iter_mut().for_each(|value| *value = fade(*value));
        assert_hidden(&png_of(&picture), &heads(1.0));
    }
}

#[test]
fn heads_are_hidden_in_the_dark_under_a_bright_sky() {
    let mut picture = decoded();
    let rows = picture.height / 5;
    let sky = std::iter::repeat_n(240, picture.stride() * rows as usize);
    let dark = picture.pixels.iter().map(|value| value / 60);
    picture.pixels = sky.chain(dark).collect();
    picture.height += rows;
    let lower = |head: Rect| Rect {
        top: head.top + rows as f32,
        bottom: head.bottom + rows as f32,
        ..head
    };
    let heads: Vec<Rect> = heads(1.0).into_iter().map(lower).collect();
    assert_hidden(&png_of(&picture), &heads);
}
