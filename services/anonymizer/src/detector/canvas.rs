//! The networks' input: a part of the photo, resized, with a border where the
//! part reaches beyond the photo.

use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};

use super::{DetectorError, boxes::Rect, tiles::Tile};
use crate::picture::Picture;

/// Buffers that are used for one tile after the other.
#[derive(Default)]
pub(super) struct Canvas {
    resizer: Resizer,
    content: Vec<u8>,
    pixels: Vec<u8>,
    planes: Vec<f32>,
    width: usize,
    height: usize,
}

impl Canvas {
    pub const fn width(&self) -> usize {
        self.width
    }

    pub const fn height(&self) -> usize {
        self.height
    }

    /// Puts a tile's part of the photo onto the canvas.
    pub fn place(&mut self, picture: &Picture, tile: &Tile) -> Result<(), DetectorError> {
        let failed = |why: String| DetectorError::Resize(why);
        let source = ImageRef::new(picture.width, picture.height, &picture.pixels, PixelType::U8x3)
            .map_err(|e| failed(e.to_string()))?;
        let (wide, high) = (tile.content_width, tile.content_height);
        self.content.resize(3 * (wide * high) as usize, 0);
        let mut content = Image::from_slice_u8(wide, high, &mut self.content, PixelType::U8x3)
            .map_err(|e| failed(e.to_string()))?;
        let Rect {
            left,
            top,
            right,
            bottom,
        } = tile.source;
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
            .crop(
                f64::from(left),
                f64::from(top),
                f64::from(right) - f64::from(left),
                f64::from(bottom) - f64::from(top),
            );
        self.resizer
            .resize(&source, &mut content, &options)
            .map_err(|e| failed(e.to_string()))?;
        self.frame(tile);
        Ok(())
    }

    /// Copies the content to its place, black around it.
    fn frame(&mut self, tile: &Tile) {
        (self.width, self.height) = (tile.width as usize, tile.height as usize);
        self.pixels.clear();
        self.pixels.resize(3 * self.width * self.height, 0);
        let content_stride = 3 * tile.content_width as usize;
        let begin = 3 * tile.content_x as usize;
        let lines = self
            .pixels
            .chunks_exact_mut(3 * self.width)
            .skip(tile.content_y as usize);
        for (line, content) in lines.zip(self.content.chunks_exact(content_stride)) {
            line[begin..begin + content_stride].copy_from_slice(content);
        }
    }

    /// The canvas as three planes of numbers: plane `i` shows channel
    /// `order[i]`, each value times `scale[i]` plus `offset[i]`.
    pub fn planes(&mut self, order: [usize; 3], scale: [f32; 3], offset: [f32; 3]) -> &[f32] {
        let size = self.width * self.height;
        self.planes.resize(3 * size, 0.0);
        for (plane, values) in self.planes.chunks_exact_mut(size).enumerate() {
            let (channel, scale, offset) = (order[plane], scale[plane], offset[plane]);
            for (value, pixel) in values.iter_mut().zip(self.pixels.as_chunks::<3>().0) {
                *value = f32::from(pixel[channel]).mul_add(scale, offset);
            }
        }
        &self.planes
    }
}
