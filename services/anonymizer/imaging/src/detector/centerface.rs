//! CenterFace: faces.
//!
//! Decoding follows Star-Clouds/CenterFace: a heat map at a quarter of the input's size, and for each of its cells the
//! face's size (as a logarithm) and the centre's offset.

use ort::session::Session;

use super::{
    DetectorError,
    boxes::Rect,
    candidate::{Candidate, suppress},
    canvas::Canvas,
    output::Outputs,
    rotation::Rotation,
};
use crate::Class;

const NAME: &str = "CenterFace";
/// Pixels of the input per cell of the outputs.
const STRIDE: f32 = 4.0;
/// Names of the outputs.
const HEAT: &str = "537";
const SIZE: &str = "538";
const OFFSET: &str = "539";
/// Two faces that overlap by more (intersection over union) are one.
const SAME_FACE_IOU: f32 = 0.3;

/// Runs the network. Returns the faces with at least `min_score`; their boxes are in pixels of the canvas and reach from
/// the brows to the chin.
pub(super) fn find(
    session: &mut Session,
    canvas: &mut Canvas,
    min_score: f32,
) -> Result<Vec<Candidate>, DetectorError> {
    let (width, height) = (canvas.width(), canvas.height());
    let outputs = Outputs::run(NAME, session, canvas.planes([0, 1, 2], [1.0; 3], [0.0; 3]))?;
    let (across, down) = (width / 4, height / 4);
    let heat = outputs.numbers(HEAT, [1, 1, down, across])?;
    let size = outputs.numbers(SIZE, [1, 2, down, across])?;
    let offset = outputs.numbers(OFFSET, [1, 2, down, across])?;
    let cells = heat.len();
    let mut found = Vec::new();
    for (cell, &score) in heat.iter().enumerate().filter(|(_, score)| **score >= min_score) {
        let (column, row) = ((cell % across) as f32, (cell / across) as f32);
        let high = size[cell].exp() * STRIDE;
        let wide = size[cells + cell].exp() * STRIDE;
        let y = (row + offset[cell] + 0.5) * STRIDE;
        let x = (column + offset[cells + cell] + 0.5) * STRIDE;
        if ![x, y, wide, high].iter().all(|number| number.is_finite()) {
            return Err(DetectorError::Output {
                network: NAME,
                why: format!("a face of {wide} × {high} pixels at {x}, {y}"),
            });
        }
        let rect = Rect {
            left: (x - wide / 2.0).clamp(0.0, width as f32),
            top: (y - high / 2.0).clamp(0.0, height as f32),
            right: (x + wide / 2.0).clamp(0.0, width as f32),
            bottom: (y + high / 2.0).clamp(0.0, height as f32),
        };
        found.push(Candidate {
            class: Class::Face,
            score,
            rect,
            hidden: rect,
            upper: rect,
            input_size: high.max(wide),
            scale: 1.0,
            is_best_class: true,
            rotation: Rotation::None,
        });
    }
    Ok(suppress(found, SAME_FACE_IOU))
}
