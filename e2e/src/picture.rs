//! Decoded pictures, and a check that detected people and faces are obscured.

use anyhow::{Context, Result};
use contract::Detection;
use turbojpeg::PixelFormat;

/// A decoded picture.
#[derive(Clone, Debug)]
pub struct Picture {
    pub width: usize,
    pub height: usize,
    /// Row by row; red, green and blue of each pixel.
    pub rgb: Vec<u8>,
}

/// A rectangle in pixels.
#[derive(Clone, Copy, Debug)]
struct Rectangle {
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
}

impl Picture {
    /// Decodes JPEG, PNG or WebP.
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

    /// A rectangle of the picture.
    ///
    /// # Panics
    /// When it is not inside the picture, which is a mistake in the test.
    pub fn crop(&self, left: usize, top: usize, width: usize, height: usize) -> Self {
        let rgb = (top..top + height)
            .flat_map(|y| {
                let start = (y * self.width + left) * 3;
                &self.rgb[start..start + width * 3]
            })
            .copied()
            .collect();
        Self { width, height, rgb }
    }

    /// The detections whose pixels are not obscured: obscuring removes the fine structure of the original.
    pub fn unobscured<'a>(&self, original: &Self, detections: &'a [Detection]) -> Vec<&'a Detection> {
        detections
            .iter()
            .filter(|detection| {
                let rectangle = self.rectangle(detection);
                let before = original.roughness(rectangle);
                // A smooth area has no structure to lose.
                before > 1.0 && self.roughness(rectangle) > before * 0.5
            })
            .collect()
    }

    fn rectangle(&self, detection: &Detection) -> Rectangle {
        let clamp = |value: f64, end: usize| (value.max(0.0) as usize).min(end);
        let (x, y) = (f64::from(detection.x), f64::from(detection.y));
        Rectangle {
            left: clamp(x, self.width),
            top: clamp(y, self.height),
            right: clamp(x + f64::from(detection.width), self.width),
            bottom: clamp(y + f64::from(detection.height), self.height),
        }
    }

    /// The mean difference of a pixel's green value to the mean of its four neighbours.
    fn roughness(&self, rectangle: Rectangle) -> f64 {
        let green = |x: usize, y: usize| f64::from(self.rgb[(y * self.width + x) * 3 + 1]);
        let (mut sum, mut count) = (0.0, 0.0);
        for y in rectangle.top.max(1)..rectangle.bottom.min(self.height.saturating_sub(1)) {
            for x in rectangle.left.max(1)..rectangle.right.min(self.width.saturating_sub(1)) {
                let around = green(x - 1, y) + green(x + 1, y) + green(x, y - 1) + green(x, y + 1);
                sum += (green(x, y) - around / 4.0).abs();
                count += 1.0;
            }
        }
        if count > 0.0 { sum / count } else { 0.0 }
    }
}
