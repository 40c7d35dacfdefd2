//! Compares the networks' candidates with those of a reference implementation in numpy.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    Detector,
    boxes::Rect,
    candidate::Candidate,
    canvas::Canvas,
    centerface, nanodet,
    nanodet::ClassThresholds,
    tiles::{Tile, TileSpan},
};
use crate::{
    Class,
    picture::{self, DecodeLimits},
};

/// Left, top, right, bottom, score.
type ExpectedBox = [f32; 5];

#[derive(Deserialize)]
struct Expected {
    person: Vec<ExpectedBox>,
    face: Vec<ExpectedBox>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

/// Lowest compared scores.
const LEAST_PERSON: f32 = 0.3;
const LEAST_FACE: f32 = 0.2;

/// Tolerance of scores. The last layers have 8 bits, so another order of summation changes scores and edges in steps.
const STEP: f32 = 0.025;
/// Tolerance of edges, share of the box's height.
const EDGE_STEP: f32 = 0.02;

fn agrees(row: &ExpectedBox, found: &Candidate) -> bool {
    let Rect {
        left,
        top,
        right,
        bottom,
    } = found.rect;
    let edges = [left, top, right, bottom];
    (row[4] - found.score).abs() < STEP
        && edges
            .iter()
            .zip(row)
            .all(|(is, expected)| (is - expected).abs() < EDGE_STEP * (bottom - top))
}

/// `expected` contains boxes with scores from one step below `least`.
#[track_caller]
fn assert_agreement(expected: &[ExpectedBox], found: &[Candidate], least: f32) {
    for row in expected.iter().filter(|row| row[4] >= least + STEP) {
        assert!(
            found.iter().any(|f| agrees(row, f)),
            "{row:?} is not in {found:?}"
        );
    }
    for one in found {
        assert!(
            expected.iter().any(|row| agrees(row, one)),
            "{one:?} is not in {expected:?}"
        );
    }
    assert!(!found.is_empty());
}

#[test]
fn both_networks_agree_with_the_reference() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expected/astronaut.json");
    let expected: Expected = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let photo = fs::read(root().join("local/photos/astronaut.png")).unwrap();
    let limits = DecodeLimits {
        bytes: u64::MAX,
        pixels: u64::MAX,
    };
    let picture = picture::decode(&photo, &limits).unwrap();
    let whole = TileSpan {
        length: 512,
        offset: 0,
        start: 0,
        shown: 512,
    };
    let tile = Tile {
        columns: whole,
        rows: whole,
        x_step: 1.0,
        y_step: 1.0,
    };
    let library = std::env::var_os("ORT_DYLIB_PATH").map_or_else(
        || root().join(".local/onnxruntime/libonnxruntime.so.1.31.1"),
        PathBuf::from,
    );
    let mut canvas = Canvas::default();
    canvas.draw(&picture, &tile).unwrap();
    let (people, faces) = Detector::load(&library)
        .unwrap()
        .pool
        .with_networks(|networks| {
            let thresholds = ClassThresholds(vec![(Class::Person, LEAST_PERSON)]);
            Ok((
                nanodet::find(&mut networks.nanodet, &mut canvas, &thresholds)?,
                centerface::find(&mut networks.centerface, &mut canvas, LEAST_FACE)?,
            ))
        })
        .unwrap();
    assert_agreement(&expected.person, &people, LEAST_PERSON);
    assert_agreement(&expected.face, &faces, LEAST_FACE);
}
