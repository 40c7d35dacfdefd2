//! CenterFace: faces.
//!
//! Decoding follows Star-Clouds/CenterFace: a heat map at a quarter of the
//! input's size, and for each of its cells the face's size (as a logarithm)
//! and the centre's offset.

use contract::Class;
use ort::{session::Session, value::TensorRef};

use super::{
    boxes::{Found, Rect, suppress},
    canvas::Canvas,
    settings::Threshold,
};

/// Pixels of the input per cell of the outputs.
const STRIDE: f32 = 4.0;
/// Of two faces that overlap by more, one is the other.
const SAME_FACE_IOU: f32 = 0.3;

/// Runs the network; boxes are in pixels of the canvas, as the network means
/// them: from the brows to the chin.
pub(super) fn find(
    session: &mut Session,
    canvas: &mut Canvas,
    threshold: Threshold,
) -> ort::Result<Vec<Found>> {
    let (width, height) = (canvas.width(), canvas.height());
    let input = canvas.planes([0, 1, 2], [1.0; 3], [0.0; 3]);
    let outputs = session.run(ort::inputs![TensorRef::from_array_view((
        [1, 3, height, width],
        input
    ))?])?;
    let (_, heat) = outputs[0].try_extract_tensor::<f32>()?;
    let (_, size) = outputs[1].try_extract_tensor::<f32>()?;
    let (_, offset) = outputs[2].try_extract_tensor::<f32>()?;
    let across = width / 4;
    let cells = heat.len();
    let mut found = Vec::new();
    for (cell, &score) in heat
        .iter()
        .enumerate()
        .filter(|(_, score)| **score >= threshold.least())
    {
        let (column, row) = ((cell % across) as f32, (cell / across) as f32);
        let high = size[cell].exp() * STRIDE;
        let wide = size[cells + cell].exp() * STRIDE;
        let y = (row + offset[cell] + 0.5) * STRIDE;
        let x = (column + offset[cells + cell] + 0.5) * STRIDE;
        if score < threshold.at(high.max(wide)) {
            continue;
        }
        found.push(Found {
            class: Class::Face,
            score,
            rect: Rect {
                left: (x - wide / 2.0).clamp(0.0, width as f32),
                top: (y - high / 2.0).clamp(0.0, height as f32),
                right: (x + wide / 2.0).clamp(0.0, width as f32),
                bottom: (y + high / 2.0).clamp(0.0, height as f32),
            },
        });
    }
    Ok(suppress(found, SAME_FACE_IOU))
}
