//! Decoded pictures, compared: was what had to be hidden replaced?

use anyhow::{Context, Result};
use contract::Detection;
use turbojpeg::PixelFormat;

/// Pixels, three bytes each.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Row after row, red, green, blue.
    pub rgb: Vec<u8>,
}

/// A part of a picture, in pixels.
#[derive(Clone, Copy, Debug)]
struct Part {
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
}

impl Picture {
    /// Decodes JPEG, PNG or WebP.
    ///
    /// # Errors
    /// When it is none of them, or damaged.
    pub fn decode(file: &[u8]) -> Result<Self> {
        if file.starts_with(&[0xff, 0xd8]) {
            let image = turbojpeg::decompress(file, PixelFormat::RGB)?;
            return Ok(Self {
                width: image.width,
                height: image.height,
                rgb: image.pixels,
            });
        }
        let image = image::load_from_memory(file)
            .context("neither JPEG, PNG nor WebP")?
            .into_rgb8();
        Ok(Self {
            width: image.width() as usize,
            height: image.height() as usize,
            rgb: image.into_raw(),
        })
    }

    /// A part of the picture.
    ///
    /// # Panics
    /// When it is not inside; that is a mistake in the test.
    #[must_use]
    pub fn cut(&self, left: usize, top: usize, width: usize, height: usize) -> Self {
        let rgb = (top..top + height)
            .flat_map(|y| {
                let start = (y * self.width + left) * 3;
                &self.rgb[start..start + width * 3]
            })
            .copied()
            .collect();
        Self { width, height, rgb }
    }

    /// Detections whose pixels are still those of the original, or close to
    /// them: in a box that was replaced, the fine structure is gone.
    #[must_use]
    pub fn unobscured<'a>(&self, original: &Self, detections: &'a [Detection]) -> Vec<&'a Detection> {
        detections
            .iter()
            .filter(|detection| {
                let part = self.part(detection);
                let before = original.roughness(part);
                // Where there was no structure, there is none to be lost.
                before > 1.0 && self.roughness(part) > before * 0.5
            })
            .collect()
    }

    fn part(&self, detection: &Detection) -> Part {
        let clamp = |value: f64, end: usize| (value.max(0.0) as usize).min(end);
        let (x, y) = (f64::from(detection.x), f64::from(detection.y));
        Part {
            left: clamp(x, self.width),
            top: clamp(y, self.height),
            right: clamp(x + f64::from(detection.width), self.width),
            bottom: clamp(y + f64::from(detection.height), self.height),
        }
    }

    /// Mean difference of a pixel's green to the mean of its neighbours'.
    fn roughness(&self, part: Part) -> f64 {
        let green = |x: usize, y: usize| f64::from(self.rgb[(y * self.width + x) * 3 + 1]);
        let (mut sum, mut count) = (0.0, 0.0);
        for y in part.top.max(1)..part.bottom.min(self.height.saturating_sub(1)) {
            for x in part.left.max(1)..part.right.min(self.width.saturating_sub(1)) {
                let around = green(x - 1, y) + green(x + 1, y) + green(x, y - 1) + green(x, y + 1);
                sum += (green(x, y) - around / 4.0).abs();
                count += 1.0;
            }
        }
        if count > 0.0 { sum / count } else { 0.0 }
    }
}
