//! Which scales a photo is looked at in.

use super::{
    settings::Effort,
    tiles::{self, Tile},
};

/// Longest side of a tile, in pixels of the networks' input: bounds memory.
const SIDE: u32 = 768;
/// Tiles overlap by this much, pixels of the networks' input.
const OVERLAP: u32 = 80;
/// Border around the photo: things cut off by its edge are seen better when
/// the edge is not also the input's.
const BORDER: u32 = 32;
/// Long side of the pass for whatever fills the photo.
const WHOLE: f32 = 448.0;

/// One look at the whole photo.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pass {
    /// Pixels of the networks' input per pixel of the photo.
    pub scale: f32,
    /// With NanoDet.
    pub people: bool,
    /// With CenterFace.
    pub faces: bool,
}

impl Pass {
    const fn both(scale: f32) -> Self {
        Self {
            scale,
            people: true,
            faces: true,
        }
    }

    pub fn tiles(&self, width: u32, height: u32) -> Vec<Tile> {
        tiles::cut(width, height, self.scale, SIDE, OVERLAP, BORDER)
    }
}

pub(super) fn passes(width: u32, height: u32, effort: Effort) -> Vec<Pass> {
    let megapixels = width as f32 * height as f32 / 1e6;
    let whole = (WHOLE / width.max(height) as f32).min(2.0);
    let mut passes = vec![Pass::both(whole)];
    if megapixels > 4.0 {
        passes.push(Pass::both((4.0 / megapixels).sqrt()));
    } else {
        passes.push(Pass::both(1.0));
        if effort == Effort::Thorough && megapixels < 1.2 {
            passes.push(Pass::both(2.0));
        }
    }
    passes
}
