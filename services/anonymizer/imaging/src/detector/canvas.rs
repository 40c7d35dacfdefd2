//! The networks' input: a tile of the photo, resized, with a border where the tile reaches beyond the photo.

use fast_image_resize::{
    FilterType, ResizeAlg, ResizeOptions, Resizer,
    images::{TypedImage, TypedImageRef},
    pixels::U8x3,
};

use super::{
    DetectorError,
    levels::{self, Levels},
    rotation::Rotation,
    tiles::{Tile, TileSpan},
};
use crate::picture::Picture;

/// The networks' input: red, green, blue, or another order, plane by plane.
pub(super) struct Planes<'c> {
    pub values: &'c [f32],
    pub width: usize,
    pub height: usize,
}

/// Buffers that are reused for each tile.
#[derive(Default)]
pub(super) struct Canvas {
    resizer: Resizer,
    content: Vec<u8>,
    pixels: Vec<u8>,
    planes: Vec<f32>,
    width: usize,
    height: usize,
    levels: Option<Levels>,
}

impl Canvas {
    /// Replaces every value of the following tiles by its level.
    pub const fn set_levels(&mut self, levels: Option<Levels>) {
        self.levels = levels;
    }

    /// The range of values on the canvas, without the lowest and the highest 2 %.
    pub fn contrast(&self) -> u8 {
        let (low, high) = levels::range(self.pixels.iter().copied(), 0.02);
        high.saturating_sub(low)
    }

    pub const fn width(&self) -> usize {
        self.width
    }

    pub const fn height(&self) -> usize {
        self.height
    }

    /// Draws a tile of the photo.
    pub fn draw(&mut self, picture: &Picture, tile: &Tile) -> Result<(), DetectorError> {
        let source = TypedImageRef::<U8x3>::from_buffer(picture.width, picture.height, &picture.pixels)
            .map_err(|e| DetectorError::Resize(e.to_string()))?;
        let (wide, high) = (tile.columns.shown, tile.rows.shown);
        self.content.resize(3 * wide as usize * high as usize, 0);
        let mut content = TypedImage::<U8x3>::from_buffer(wide, high, &mut self.content)
            .map_err(|e| DetectorError::Resize(e.to_string()))?;
        let [x, y, width, height] = tile.source(picture.width, picture.height);
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
            .crop(x, y, width, height);
        self.resizer
            .resize_typed(&source, &mut content, &options)
            .map_err(|e| DetectorError::Resize(e.to_string()))?;
        if let Some(levels) = &self.levels {
            for value in &mut self.content {
                *value = levels[usize::from(*value)];
            }
        }
        self.frame(tile);
        Ok(())
    }

    /// Copies the content to its position and mirrors it into the border.
    fn frame(&mut self, tile: &Tile) {
        (self.width, self.height) = (tile.columns.length as usize, tile.rows.length as usize);
        self.pixels.resize(3 * self.width * self.height, 0);
        let (from_x, from_y) = (mirrored(&tile.columns), mirrored(&tile.rows));
        let shown = tile.columns.shown as usize;
        let inside = tile.columns.offset as usize..tile.columns.offset as usize + shown;
        let lines = self.content.chunks_exact(3 * shown).collect::<Vec<_>>();
        for (target, &y) in self.pixels.chunks_exact_mut(3 * self.width).zip(&from_y) {
            let line = lines[y];
            target[3 * inside.start..3 * inside.end].copy_from_slice(line);
            for x in (0..inside.start).chain(inside.end..self.width) {
                let from = 3 * from_x[x];
                target[3 * x..3 * x + 3].copy_from_slice(&line[from..from + 3]);
            }
        }
    }

    /// Whether the whole canvas has one colour.
    pub fn is_plain(&self) -> bool {
        let pixels = self.pixels.as_chunks::<3>().0;
        pixels.iter().all(|pixel| Some(pixel) == pixels.first())
    }

    /// Rotates the canvas.
    pub fn rotate(&mut self, rotation: Rotation) {
        (self.pixels, self.width, self.height) = rotation.pixels(&self.pixels, self.width, self.height);
    }

    /// Mirrors the canvas, left to right.
    pub fn mirror(&mut self) {
        for row in self.pixels.chunks_exact_mut(3 * self.width) {
            row.as_chunks_mut::<3>().0.reverse();
        }
    }

    /// The canvas as three planes of numbers: plane `i` is channel `order[i]`, each value times `scale[i]` plus `offset[i]`.
    pub fn planes(&mut self, order: [usize; 3], scale: [f32; 3], offset: [f32; 3]) -> Planes<'_> {
        let size = self.width * self.height;
        self.planes.resize(3 * size, 0.0);
        for (plane, values) in self.planes.chunks_exact_mut(size).enumerate() {
            let (channel, scale, offset) = (order[plane], scale[plane], offset[plane]);
            for (value, pixel) in values.iter_mut().zip(self.pixels.as_chunks::<3>().0) {
                *value = f32::from(pixel[channel]).mul_add(scale, offset);
            }
        }
        Planes {
            values: &self.planes,
            width: self.width,
            height: self.height,
        }
    }
}

/// For each pixel of a span's input, the pixel of the shown part at that position.
fn mirrored(span: &TileSpan) -> Vec<usize> {
    let shown = i64::from(span.shown);
    (0..i64::from(span.length))
        .map(|at| {
            let at = at - i64::from(span.offset);
            let at = if at < 0 { -at - 1 } else { at };
            let at = if at >= shown { 2 * shown - 1 - at } else { at };
            at.clamp(0, shown - 1) as usize
        })
        .collect()
}
