//! The check finds people who are visible in the obscured picture, and hides them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use imaging::{
    AnonymizeSettings, anonymize,
    detector::{DetectSettings, Detector, Rect, Scales, Stop, Threshold},
    picture::{self, Picture},
};
use support::{SOLVAY, SOLVAY_FACES, library, photos::LIMITS, sample};

/// Settings with which the detector scans a thumbnail and finds nobody.
fn blind() -> DetectSettings {
    DetectSettings {
        scales: Scales {
            fine_megapixels: 0.01,
            min_scale: 0.02,
            coarse_megapixels: 0.0,
            rotated_megapixels: 0.0,
            second_look_megapixels: 0.0,
            check_megapixels: 0.6,
        },
        ..DetectSettings::default()
    }
}

/// Mean difference of the values of two pictures in a box.
fn difference(a: &Picture, b: &Picture, [left, top, right, bottom]: [f32; 4]) -> f64 {
    let (mut sum, mut values) = (0.0, 0.0);
    for y in top as usize..bottom as usize {
        let row = y * a.width as usize;
        for at in 3 * (row + left as usize)..3 * (row + right as usize) {
            sum += f64::from(a.pixels[at].abs_diff(b.pixels[at]));
            values += 1.0;
        }
    }
    sum / values
}

#[test]
fn a_missed_person_is_hidden_after_the_check() {
    let detector = Detector::load(&library()).unwrap();
    let photo = sample(SOLVAY);
    let picture = picture::decode(&photo, &LIMITS).unwrap();
    assert_eq!(detector.detect(&picture, &blind()).unwrap(), []);
    let settings = AnonymizeSettings {
        detect: blind(),
        ..AnonymizeSettings::default()
    };
    let done = anonymize(&photo, &settings, &detector).unwrap();
    assert!(done.checks.still_visible >= 29, "{:?}", done.checks);
    let output = picture::decode(&done.jpeg, &LIMITS).unwrap();
    for face in SOLVAY_FACES {
        // JPEG alone changes a face by 0.6.
        let difference = difference(&picture, &output, face);
        assert!(difference > 6.0, "{face:?}: {difference}");
    }
}

#[test]
fn the_check_respects_hidden_boxes_and_thresholds() {
    let detector = Detector::load(&library()).unwrap();
    let picture = picture::decode(&sample(SOLVAY), &LIMITS).unwrap();
    let visible = |hidden: &[Rect], settings: &DetectSettings| {
        let visible = detector.visible_until(&picture, hidden, settings, &Stop::default());
        visible.unwrap().len()
    };
    let whole = Rect {
        left: 0.0,
        top: 0.0,
        right: picture.width as f32,
        bottom: picture.height as f32,
    };
    assert!(visible(&[], &blind()) > 0);
    assert_eq!(visible(&[whole], &blind()), 0);
    let strict = DetectSettings {
        person: Threshold::flat(1.0),
        face: Threshold::flat(1.0),
        ..blind()
    };
    assert_eq!(visible(&[], &strict), 0);
}
