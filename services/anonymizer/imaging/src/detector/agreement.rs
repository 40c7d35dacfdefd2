//! The networks give the numbers that the reference implementation gives:
//! `det.py`, in numpy, on the same pixels.

use std::{
    fs,
    path::{Path, PathBuf},
};

use contract::Class;
use serde::Deserialize;

use super::{
    Detector,
    boxes::Rect,
    candidate::Candidate,
    canvas::Canvas,
    centerface, nanodet,
    nanodet::Wanted,
    tiles::{Span, Tile},
};
use crate::picture::{self, Limits};

/// Left, top, right, bottom, score.
type Row = [f32; 5];

#[derive(Deserialize)]
struct Expected {
    person: Vec<Row>,
    face: Vec<Row>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

/// Pixels and scores to within what other orders of summation make of them.
fn agrees(row: &Row, found: &Candidate) -> bool {
    let Rect {
        left,
        top,
        right,
        bottom,
    } = found.rect;
    let edges = [left, top, right, bottom];
    (row[4] - found.score).abs() < 2e-3
        && edges
            .iter()
            .zip(row)
            .all(|(is, expected)| (is - expected).abs() < 0.25)
}

#[track_caller]
fn assert_agreement(expected: &[Row], found: &[Candidate]) {
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for row in expected {
        assert!(
            found.iter().any(|f| agrees(row, f)),
            "{row:?} is not in {found:?}"
        );
    }
}

#[test]
fn both_networks_agree_with_the_reference() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expected/astronaut.json");
    let expected: Expected = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let photo = fs::read(root().join("local/photos/astronaut.png")).unwrap();
    let limits = Limits {
        bytes: u64::MAX,
        pixels: u64::MAX,
    };
    let picture = picture::decode(&photo, &limits).unwrap();
    let whole = Span {
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
    canvas.place(&picture, &tile).unwrap();
    let (people, faces) = Detector::load(&library)
        .unwrap()
        .pool
        .with(|networks| {
            let wanted = Wanted(vec![(Class::Person, 0.3)]);
            Ok((
                nanodet::find(&mut networks.nanodet, &mut canvas, &wanted)?,
                centerface::find(&mut networks.centerface, &mut canvas, 0.2)?,
            ))
        })
        .unwrap();
    assert_agreement(&expected.person, &people);
    assert_agreement(&expected.face, &faces);
}
