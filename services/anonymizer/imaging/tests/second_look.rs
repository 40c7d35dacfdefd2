//! The second look drops candidates whose scores stay low. Candidates beyond the budget are hidden.

#![cfg(feature = "failpoints")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/onnx.rs"]
mod onnx;
mod support;

use imaging::{
    Class,
    detector::{
        DetectSettings, DetectedObject, Detector, DetectorOutput, SecondLook, Stop, SubstituteNetworks,
    },
    picture::{self, Picture},
};
use onnx::NetworkOutput;
use support::{
    library,
    photos::{LIMITS, gradient, png_of},
};

/// Detects in a photo of 16 × 16 pixels with networks that report a face and a person with these scores everywhere.
fn detected(face: f32, person: f32, megapixels: f32) -> DetectorOutput {
    let mut settings = DetectSettings::default();
    settings.scales.second_look_megapixels = megapixels;
    detected_in(&gradient(16, 16), face, person, &settings)
}

fn detected_in(photo: &Picture, face: f32, person: f32, settings: &DetectSettings) -> DetectorOutput {
    let mut centerface = onnx::centerface();
    set(&mut centerface, "537", face);
    let mut nanodet = onnx::nanodet();
    set(&mut nanodet, "cls32", person);
    let networks = SubstituteNetworks {
        nanodet: onnx::file(&nanodet),
        centerface: onnx::file(&centerface),
    };
    let detector = Detector::with_networks(&library(), networks).unwrap();
    let photo = picture::decode(&png_of(photo), &LIMITS).unwrap();
    detector.detect_until(&photo, settings, &Stop::default()).unwrap()
}

/// Sets the score of a network's first class.
fn set(outputs: &mut [NetworkOutput], name: &str, score: f32) {
    let output = outputs.iter_mut().find(|output| output.name == name).unwrap();
    output.channels[0] = score;
}

fn faces(detected: &DetectorOutput) -> usize {
    let is_face = |found: &&DetectedObject| found.class == Class::Face;
    detected.objects.iter().filter(is_face).count()
}

#[test]
fn a_weak_face_without_a_person_is_dropped() {
    let found = detected(0.3, 0.0, 100.0);
    assert_eq!(found.objects, []);
    assert!(found.second_look.examined > 0);
    assert_eq!(found.second_look.dropped, found.second_look.examined);
    assert_eq!(found.second_look.skipped, 0);
}

#[test]
fn a_weak_face_of_a_person_and_a_sure_face_stay() {
    let of_a_person = detected(0.3, 0.45, 100.0);
    assert!(faces(&of_a_person) > 0);
    assert!(of_a_person.second_look.examined > 0);
    assert_eq!(of_a_person.second_look.dropped, 0);
    let sure = detected(0.5, 0.0, 100.0);
    assert!(faces(&sure) > 0);
    assert_eq!(sure.second_look, SecondLook::default());
}

#[test]
fn candidates_beyond_the_budget_are_hidden() {
    // The second look at a face takes 128 × 128 pixels.
    let found = detected(0.3, 0.0, 0.1);
    assert_eq!(found.second_look.examined, 6);
    assert_eq!(found.second_look.dropped, 6);
    assert!(found.second_look.skipped > 0);
    assert!(faces(&found) >= found.second_look.skipped as usize);
    let without = detected(0.3, 0.0, 0.0);
    assert!(faces(&without) > faces(&found));
    assert_eq!(without.second_look, SecondLook::default());
}

#[test]
fn faces_are_not_examined_if_people_are_not_detected() {
    let mut settings = DetectSettings::default();
    settings.scales.second_look_megapixels = 100.0;
    settings.classes = [Class::Face].into();
    let found = detected_in(&gradient(16, 16), 0.3, 0.0, &settings);
    assert!(faces(&found) > 0);
    assert_eq!(found.second_look, SecondLook::default());
}

#[test]
fn candidates_with_too_little_contrast_are_hidden() {
    // Dark on the left, bright on the right, and a step between them.
    let mut photo = gradient(96, 16);
    for (i, value) in photo.pixels.iter_mut().enumerate() {
        let dark = *value / 8;
        *value = if i / 3 % 96 < 48 { dark } else { 255 - dark };
    }
    let mut settings = DetectSettings::default();
    settings.scales.second_look_megapixels = 100.0;
    let found = detected_in(&photo, 0.3, 0.0, &settings);
    assert!(found.second_look.skipped > 0, "{:?}", found.second_look);
    assert!(found.second_look.dropped > 0, "{:?}", found.second_look);
    assert!(faces(&found) >= found.second_look.skipped as usize);
}
