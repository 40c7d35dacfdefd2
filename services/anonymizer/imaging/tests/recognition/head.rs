//! The head of one person, cut out of a photo: original, in another photo, and obscured.

use imaging::{
    Class,
    detector::{DetectSettings, Rect},
    obscure::{ObscureMode, ObscureModes, PixelRect, Region, obscure},
    picture::{self, Picture},
};

use crate::{
    shapes::{cropped, resized},
    support::photos::LIMITS,
};

/// JPEG quality of the second photo, and of the product's output.
const CAMERA_QUALITY: u8 = 75;
const PRODUCT_QUALITY: u8 = 90;

/// Difference of a detector's boxes of the same face in two photos, share of the box's size.
const BOX_DIFFERENCE: f32 = 0.05;

/// A person's head and shoulders.
#[derive(Clone)]
pub struct Head {
    pub picture: Picture,
    /// The face's box, brows to chin, as a detector reports it.
    pub face: Rect,
}

impl Head {
    /// Cuts a head out of the photo and resizes it to `width` pixels.
    pub fn new(photo: &Picture, [left, top, right, bottom]: [f32; 4], width: f32) -> Self {
        let face = Rect {
            left,
            top,
            right,
            bottom,
        };
        let head = whole_head(&face);
        let side = head.width();
        let x = (head.left - 0.75 * side).max(0.0) as u32;
        let y = (head.top - 0.5 * side).max(0.0) as u32;
        let right = ((head.right + 0.75 * side) as u32).min(photo.width);
        let bottom = ((head.top + 3.5 * side) as u32).min(photo.height);
        let picture = cropped(photo, [x, y, right - x, bottom - y]);
        let face = Rect {
            left: face.left - x as f32,
            top: face.top - y as f32,
            right: face.right - x as f32,
            bottom: face.bottom - y as f32,
        };
        Self { picture, face }.stretched(width / side, width / side)
    }

    /// The same person in another photo: a little wider or narrower, in other light from another side, with noise, as a JPEG,
    /// in another box.
    pub fn taken_again(&self, person: u32) -> Self {
        let vary = |what: u32| random(8 * person + what);
        let mut head = self.stretched(1.0 + 0.06 * vary(0), 1.0 + 0.06 * vary(1));
        let (gain, lift, slope) = (1.0 + 0.25 * vary(2), 15.0 + 15.0 * vary(3), 0.6 * vary(4));
        let width = head.picture.width;
        for (at, pixel) in (0..).zip(head.picture.pixels.as_chunks_mut::<3>().0) {
            let noise = 4.0 * random(1 << 16 | at);
            let light = 1.0 + slope * ((at % width) as f32 / width as f32 - 0.5);
            for part in pixel {
                *part = (light * (gain * f32::from(*part) + lift + noise)) as u8;
            }
        }
        let (across, down) = (
            BOX_DIFFERENCE * head.face.width(),
            BOX_DIFFERENCE * head.face.height(),
        );
        head.face = Rect {
            left: across.mul_add(vary(5), head.face.left),
            top: down.mul_add(vary(6), head.face.top),
            right: across.mul_add(vary(7), head.face.right),
            bottom: head.face.bottom,
        };
        head.through_jpeg(CAMERA_QUALITY)
    }

    /// The mirror image.
    pub fn mirrored(&self) -> Self {
        let mut head = self.clone();
        let width = head.picture.width;
        let pixels = head.picture.pixels.as_chunks_mut::<3>().0;
        pixels.chunks_mut(width as usize).for_each(<[_]>::reverse);
        (head.face.left, head.face.right) = (width as f32 - self.face.right, width as f32 - self.face.left);
        head
    }

    /// Each pixel is the mean of the 9 × 9 pixels around it.
    pub fn blurred(&self) -> Self {
        let mut head = self.clone();
        let (width, height) = (self.picture.width, self.picture.height);
        let source = self.picture.pixels.as_chunks::<3>().0;
        let near = |at: u32, side: u32| at.saturating_sub(4)..(at + 5).min(side);
        for (at, pixel) in (0..).zip(head.picture.pixels.as_chunks_mut::<3>().0) {
            let (mut sum, mut count) = ([0u32; 3], 0);
            for y in near(at / width, height) {
                for x in near(at % width, width) {
                    let color = source[(y * width + x) as usize];
                    sum = [0, 1, 2].map(|part| sum[part] + u32::from(color[part]));
                    count += 1;
                }
            }
            *pixel = sum.map(|sum| (sum / count) as u8);
        }
        head.through_jpeg(PRODUCT_QUALITY)
    }

    /// The head after the product obscured a detection of this class and stored it.
    pub fn obscured(&self, class: Class, mode: ObscureMode) -> Self {
        let mut head = self.clone();
        let rect = match class {
            // Head and shoulders, twice as wide as the head: just high enough to count as standing, with the finest cells.
            Class::Person => {
                let head = whole_head(&self.face);
                Rect {
                    left: head.left - 0.5 * head.width(),
                    right: head.right + 0.5 * head.width(),
                    bottom: head.top + 3.2 * head.width(),
                    ..head
                }
            }
            _ => whole_head(&self.face),
        };
        let (width, height) = (self.picture.width, self.picture.height);
        let x = rect.left.max(0.0) as u32;
        let y = rect.top.max(0.0) as u32;
        let area = PixelRect {
            x,
            y,
            width: (rect.right.ceil() as u32).min(width) - x,
            height: (rect.bottom.ceil() as u32).min(height) - y,
        };
        let region = Region::for_object(class, area, ObscureModes::uniform(mode));
        obscure(&mut head.picture.pixels, width, height, &[region]);
        head.through_jpeg(PRODUCT_QUALITY)
    }

    fn stretched(&self, across: f32, down: f32) -> Self {
        let (width, height) = (self.picture.width as f32, self.picture.height as f32);
        let picture = resized(
            &self.picture,
            (across * width).round() as u32,
            (down * height).round() as u32,
        );
        let (across, down) = (picture.width as f32 / width, picture.height as f32 / height);
        Self {
            face: Rect {
                left: across * self.face.left,
                top: down * self.face.top,
                right: across * self.face.right,
                bottom: down * self.face.bottom,
            },
            picture,
        }
    }

    fn through_jpeg(mut self, quality: u8) -> Self {
        let file = picture::encode(&self.picture, quality).unwrap();
        self.picture = picture::decode(&file, &LIMITS).unwrap();
        self
    }
}

/// The box that the product hides for a face.
fn whole_head(face: &Rect) -> Rect {
    face.expanded(&DetectSettings::default().face_margins)
}

/// A number from -1 to 1, the same for the same seed.
fn random(seed: u32) -> f32 {
    let mut bits = seed.wrapping_mul(0x9E37_79B9) ^ 0x85EB_CA6B;
    for _ in 0..2 {
        bits = (bits ^ bits >> 16).wrapping_mul(0x45D9_F3B5);
    }
    (f64::from(bits ^ bits >> 16) / f64::from(u32::MAX) * 2.0 - 1.0) as f32
}
