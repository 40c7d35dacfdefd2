//! What stays weak when it is looked at by itself is dropped, and a doubt for
//! which there is no budget hides.

#![cfg(feature = "failpoints")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/onnx.rs"]
mod onnx;
mod support;

use contract::Class;
use imaging::{
    detector::{DetectSettings, Detected, Detector, Found, OtherNetworks, SecondLook, Stop},
    picture::{self, Picture},
};
use onnx::Output;
use support::{
    library,
    photos::{LIMITS, gradient, png_of},
};

/// What is found in a photo of 16 × 16 pixels by networks that see a face with one
/// score and a person with another, everywhere.
fn detected(face: f32, person: f32, megapixels: f32) -> Detected {
    let mut settings = DetectSettings::default();
    settings.scales.second_look_megapixels = megapixels;
    detected_in(&gradient(16, 16), face, person, &settings)
}

fn detected_in(photo: &Picture, face: f32, person: f32, settings: &DetectSettings) -> Detected {
    let mut centerface = onnx::centerface();
    set(&mut centerface, "537", face);
    let mut nanodet = onnx::nanodet();
    set(&mut nanodet, "cls32", person);
    let networks = OtherNetworks {
        nanodet: onnx::file(&nanodet),
        centerface: onnx::file(&centerface),
    };
    let detector = Detector::with_networks(&library(), networks).unwrap();
    let photo = picture::decode(&png_of(photo), &LIMITS).unwrap();
    detector.detect_until(&photo, settings, &Stop::default()).unwrap()
}

/// Sets the score of a network's first class.
fn set(outputs: &mut [Output], name: &str, score: f32) {
    let output = outputs.iter_mut().find(|output| output.name == name).unwrap();
    output.channels[0] = score;
}

fn faces(detected: &Detected) -> usize {
    let is_face = |found: &&Found| found.class == Class::Face;
    detected.objects.iter().filter(is_face).count()
}

#[test]
fn a_weak_face_without_a_person_is_dropped() {
    let found = detected(0.3, 0.0, 100.0);
    assert_eq!(found.objects, []);
    assert!(found.second_look.looked_at > 0);
    assert_eq!(found.second_look.dropped, found.second_look.looked_at);
    assert_eq!(found.second_look.left_out, 0);
}

#[test]
fn a_weak_face_of_a_person_and_a_sure_face_stay() {
    let of_a_person = detected(0.3, 0.45, 100.0);
    assert!(faces(&of_a_person) > 0);
    assert!(of_a_person.second_look.looked_at > 0);
    assert_eq!(of_a_person.second_look.dropped, 0);
    let sure = detected(0.5, 0.0, 100.0);
    assert!(faces(&sure) > 0);
    assert_eq!(sure.second_look, SecondLook::default());
}

#[test]
fn what_the_budget_leaves_out_is_hidden() {
    // A look at a face takes 128 × 128 pixels.
    let found = detected(0.3, 0.0, 0.1);
    assert_eq!(found.second_look.looked_at, 6);
    assert_eq!(found.second_look.dropped, 6);
    assert!(found.second_look.left_out > 0);
    assert!(faces(&found) >= found.second_look.left_out as usize);
    let without = detected(0.3, 0.0, 0.0);
    assert!(faces(&without) > faces(&found));
    assert_eq!(without.second_look, SecondLook::default());
}

#[test]
fn faces_are_not_judged_where_people_are_not_looked_for() {
    let mut settings = DetectSettings::default();
    settings.scales.second_look_megapixels = 100.0;
    settings.classes = [Class::Face].into();
    let found = detected_in(&gradient(16, 16), 0.3, 0.0, &settings);
    assert!(faces(&found) > 0);
    assert_eq!(found.second_look, SecondLook::default());
}

#[test]
fn what_has_too_little_contrast_to_be_judged_is_hidden() {
    // Dark on the left, bright on the right, and a step between them.
    let mut photo = gradient(96, 16);
    for (i, value) in photo.pixels.iter_mut().enumerate() {
        let dark = *value / 8;
        *value = if i / 3 % 96 < 48 { dark } else { 255 - dark };
    }
    let mut settings = DetectSettings::default();
    settings.scales.second_look_megapixels = 100.0;
    let found = detected_in(&photo, 0.3, 0.0, &settings);
    assert!(found.second_look.left_out > 0, "{:?}", found.second_look);
    assert!(found.second_look.dropped > 0, "{:?}", found.second_look);
    assert!(faces(&found) >= found.second_look.left_out as usize);
}
