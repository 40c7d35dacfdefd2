//! NanoDet-g: people and vehicles.
//!
//! Decoding follows RangiLyu/nanodet, `nanodet_head.py` and `integral.py` (generalised focal loss, Li et al. 2020): for
//! each cell of three grids, scores of 80 classes, and for each side a distribution over 11 distances. The mean distance
//! counts.

use ort::session::Session;

use super::{
    DetectorError, boxes::Rect, candidate::Candidate, canvas::Canvas, output::Outputs, rotation::Rotation,
};
use crate::Class;

/// Grids: pixels of the input per cell.
const STRIDES: [(usize, &str, &str); 3] = [
    (8, "cls8", "box8"),
    (16, "cls16", "box16"),
    (32, "cls32", "box32"),
];
/// COCO's classes.
const CLASSES: usize = 80;
/// Distances per side.
const BINS: usize = 11;

/// Mean and deviation of each channel, blue, green, red.
const MEAN: [f32; 3] = [103.53, 116.28, 123.675];
const DEVIATION: [f32; 3] = [57.375, 57.12, 58.395];

/// The classes to find, each with its minimum score.
#[derive(Clone, Debug, Default)]
pub(super) struct ClassThresholds(pub Vec<(Class, f32)>);

impl ClassThresholds {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Runs the network. Boxes are in pixels of the canvas. Unlike the reference, a cell counts for every class above its
/// threshold: a possible person is hidden, even if a bicycle is more likely.
pub(super) fn find(
    session: &mut Session,
    canvas: &mut Canvas,
    thresholds: &ClassThresholds,
) -> Result<Vec<Candidate>, DetectorError> {
    let (width, height) = (canvas.width(), canvas.height());
    let scale = DEVIATION.map(|d| 1.0 / d);
    let offset = [0, 1, 2].map(|i| -MEAN[i] / DEVIATION[i]);
    let outputs = Outputs::run("NanoDet", session, canvas.planes([2, 1, 0], scale, offset))?;
    let mut found = Vec::new();
    for (stride, scores, sides) in STRIDES {
        let across = width / stride;
        let cells = across * (height / stride);
        let scores = outputs.numbers(scores, [1, cells, CLASSES])?;
        let sides = outputs.numbers(sides, [1, cells, 4 * BINS])?;
        let cells = scores.chunks_exact(CLASSES).zip(sides.chunks_exact(4 * BINS));
        for (cell, (scores, sides)) in cells.enumerate() {
            let mut rect = None;
            for &(class, least) in &thresholds.0 {
                let Some(score) = class
                    .coco_number()
                    .map(|number| scores[number])
                    .filter(|s| *s >= least)
                else {
                    continue;
                };
                let rect = *rect.get_or_insert_with(|| decoded(cell % across, cell / across, stride, sides));
                found.push(Candidate {
                    class,
                    score,
                    rect,
                    hidden: rect,
                    upper: rect,
                    input_size: rect.height(),
                    scale: 1.0,
                    is_best_class: scores.iter().all(|other| *other <= score),
                    rotation: Rotation::None,
                });
            }
        }
    }
    Ok(found)
}

fn decoded(column: usize, row: usize, stride: usize, sides: &[f32]) -> Rect {
    let stride = stride as f32;
    let (x, y) = ((column as f32 + 0.5) * stride, (row as f32 + 0.5) * stride);
    let distance = |side: usize| expectation(&sides[side * BINS..(side + 1) * BINS]) * stride;
    Rect {
        left: x - distance(0),
        top: y - distance(1),
        right: x + distance(2),
        bottom: y + distance(3),
    }
}

/// The mean of a distribution given by its logits (softmax).
fn expectation(logits: &[f32]) -> f32 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (mut sum, mut weights) = (0.0, 0.0);
    for (bin, logit) in logits.iter().enumerate() {
        let weight = (logit - max).exp();
        weights += weight;
        sum += weight * bin as f32;
    }
    sum / weights
}
