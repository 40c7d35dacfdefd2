//! A network's invalid output is an error, never a photo without people.

#![cfg(feature = "failpoints")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/onnx.rs"]
mod onnx;
mod support;

use contract::FailureReason;
use imaging::{
    AnonymizeError, AnonymizeSettings, Anonymized, anonymize, anonymize_until,
    detector::{Detector, Stop, SubstituteNetworks},
};
use onnx::NetworkOutput;
use support::{
    library,
    photos::{gradient, png_of},
    sample,
};

/// Anonymises a photo with these networks.
fn anonymized(nanodet: &[NetworkOutput], centerface: &[NetworkOutput]) -> Result<Anonymized, AnonymizeError> {
    let networks = SubstituteNetworks {
        nanodet: onnx::file(nanodet),
        centerface: onnx::file(centerface),
    };
    let detector = Detector::with_networks(&library(), networks).unwrap();
    anonymize(&sample("astronaut.png"), &AnonymizeSettings::default(), &detector)
}

/// These outputs, one of them changed.
fn with(outputs: &[NetworkOutput], name: &str, change: impl Fn(&mut NetworkOutput)) -> Vec<NetworkOutput> {
    let mut outputs = outputs.to_vec();
    change(outputs.iter_mut().find(|output| output.name == name).unwrap());
    outputs
}

#[track_caller]
fn assert_detector_error(result: Result<Anonymized, AnonymizeError>, network: &str, why: &str) {
    let error = result.expect_err(why);
    assert_eq!(error.reason(), FailureReason::ProcessingError);
    let error = error.to_string();
    assert!(
        error.starts_with(network) && error.contains(why),
        "{why}: {error}"
    );
}

#[test]
fn networks_that_find_nothing_are_valid() {
    let done = anonymized(&onnx::nanodet(), &onnx::centerface()).unwrap();
    assert_eq!(done.detections, []);
}

#[test]
fn output_that_is_not_finite_is_an_error() {
    for number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let why = number.to_string();
        for output in onnx::nanodet() {
            for channel in [0, output.channels.len() - 1] {
                let faulty = with(&onnx::nanodet(), output.name, |o| o.channels[channel] = number);
                assert_detector_error(anonymized(&faulty, &onnx::centerface()), "NanoDet", &why);
            }
        }
        for name in ["537", "538", "539"] {
            let faulty = with(&onnx::centerface(), name, |o| o.channels[0] = number);
            assert_detector_error(anonymized(&onnx::nanodet(), &faulty), "CenterFace", &why);
        }
    }
}

#[test]
fn output_of_another_shape_is_an_error() {
    type Change = fn(&mut NetworkOutput);
    let changes: [Change; 4] = [
        |output| output.channels.push(0.0),
        |output| output.channels.truncate(1),
        |output| output.stride *= 2,
        |output| output.channels_last ^= true,
    ];
    for change in changes {
        for name in ["cls8", "box32"] {
            let faulty = with(&onnx::nanodet(), name, change);
            assert_detector_error(
                anonymized(&faulty, &onnx::centerface()),
                "NanoDet",
                "has the shape",
            );
        }
        let faulty = with(&onnx::centerface(), "538", change);
        assert_detector_error(
            anonymized(&onnx::nanodet(), &faulty),
            "CenterFace",
            "has the shape",
        );
    }
    let faulty = with(&onnx::nanodet(), "cls16", |output| output.name = "other");
    assert_detector_error(
        anonymized(&faulty, &onnx::centerface()),
        "NanoDet",
        "output cls16 is missing",
    );
}

/// The networks skip tiles of one colour, so that a huge photo of a few bytes costs little. A single other pixel is enough
/// to scan a tile.
#[test]
fn networks_skip_tiles_of_one_colour() {
    let blind = |photo: &[u8]| {
        let networks = SubstituteNetworks {
            nanodet: onnx::file(&with(&onnx::nanodet(), "cls8", |o| o.channels[0] = f32::NAN)),
            centerface: onnx::file(&with(&onnx::centerface(), "537", |o| o.channels[0] = f32::NAN)),
        };
        let detector = Detector::with_networks(&library(), networks).unwrap();
        anonymize(photo, &AnonymizeSettings::default(), &detector)
    };
    let mut picture = gradient(3000, 2000);
    picture.pixels.fill(77);
    assert_eq!(blind(&png_of(&picture)).unwrap().detections, []);
    picture.pixels[3 * (1000 * 3000 + 1500)] = 200;
    assert_detector_error(blind(&png_of(&picture)), "", "NaN");
}

#[test]
fn stopped_work_is_an_error() {
    let networks = SubstituteNetworks {
        nanodet: onnx::file(&onnx::nanodet()),
        centerface: onnx::file(&onnx::centerface()),
    };
    let detector = Detector::with_networks(&library(), networks).unwrap();
    let stop = Stop::default();
    let settings = AnonymizeSettings::default();
    assert!(anonymize_until(&sample("astronaut.png"), &settings, &detector, &stop).is_ok());
    stop.set();
    let stopped = anonymize_until(&sample("astronaut.png"), &settings, &detector, &stop);
    assert_detector_error(stopped, "", "stopped");
}

/// Finite numbers that give an infinite box.
#[test]
fn box_that_is_not_finite_is_an_error() {
    let face = with(&onnx::centerface(), "537", |heat| heat.channels[0] = 0.9);
    for (name, number) in [("538", 1000.0), ("539", f32::MAX)] {
        let faulty = with(&face, name, |output| output.channels[0] = number);
        assert_detector_error(anonymized(&onnx::nanodet(), &faulty), "CenterFace", "a face of");
    }
}
