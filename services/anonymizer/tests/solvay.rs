//! The 1927 Solvay photograph: 29 of 29 heads are hidden, at every size and
//! however it is stored.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use anonymizer::{
    anonymize::{AnonymizeSettings, anonymize},
    picture::{self, Limits, Picture},
};
use fast_image_resize::{PixelType, Resizer, images::Image};
use support::{DETECTOR, SOLVAY, SOLVAY_FACES, covered, head, sample};

const LIMITS: Limits = Limits {
    bytes: u64::MAX,
    pixels: u64::MAX,
};

fn shrunk(picture: &Picture, divisor: u32) -> Picture {
    let (width, height) = (picture.width / divisor, picture.height / divisor);
    let source = Image::from_vec_u8(
        picture.width,
        picture.height,
        picture.pixels.clone(),
        PixelType::U8x3,
    )
    .unwrap();
    let mut target = Image::new(width, height, PixelType::U8x3);
    Resizer::new().resize(&source, &mut target, None).unwrap();
    Picture {
        width,
        height,
        pixels: target.into_vec(),
        ..picture.clone()
    }
}

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
        let jpeg = picture::encode(&shrunk(&picture, divisor), 90).unwrap();
        assert_all_hidden(&jpeg, 1.0 / divisor as f32);
    }
}
