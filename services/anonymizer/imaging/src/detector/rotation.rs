//! Quarter turns. Cameras hang upside down or sideways, often without an EXIF orientation, and the networks find only
//! upright people.

use super::boxes::Rect;

/// Rotation of the canvas before the networks run, clockwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rotation {
    None,
    Quarter,
    Half,
    ThreeQuarters,
}

impl Rotation {
    /// All except `None`.
    pub const OTHERS: [Self; 3] = [Self::Quarter, Self::Half, Self::ThreeQuarters];

    /// The rotated pixels (three bytes each) and their width and height.
    pub fn pixels(self, pixels: &[u8], width: usize, height: usize) -> (Vec<u8>, usize, usize) {
        let source = pixels.as_chunks::<3>().0;
        let (wide, high) = match self {
            Self::None | Self::Half => (width, height),
            Self::Quarter | Self::ThreeQuarters => (height, width),
        };
        let mut turned = vec![0; pixels.len()];
        for (y, line) in turned.as_chunks_mut::<3>().0.chunks_exact_mut(wide).enumerate() {
            for (x, pixel) in line.iter_mut().enumerate() {
                *pixel = match self {
                    Self::None => source[y * width + x],
                    Self::Quarter => source[(height - 1 - x) * width + y],
                    Self::Half => source[(height - 1 - y) * width + width - 1 - x],
                    Self::ThreeQuarters => source[x * width + width - 1 - y],
                };
            }
        }
        (turned, wide, high)
    }

    /// Converts a box of the rotated canvas to the canvas before the rotation, which has this size.
    pub fn undo(self, rect: Rect, width: usize, height: usize) -> Rect {
        let (width, height) = (width as f32, height as f32);
        let Rect {
            left,
            top,
            right,
            bottom,
        } = rect;
        let (left, top, right, bottom) = match self {
            Self::None => (left, top, right, bottom),
            Self::Quarter => (top, height - right, bottom, height - left),
            Self::Half => (width - right, height - bottom, width - left, height - top),
            Self::ThreeQuarters => (width - bottom, left, width - top, right),
        };
        Rect {
            left,
            top,
            right,
            bottom,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_returns_to_its_pixel() {
        let (width, height) = (5usize, 3usize);
        for rotation in [
            Rotation::None,
            Rotation::Quarter,
            Rotation::Half,
            Rotation::ThreeQuarters,
        ] {
            for at in 0..width * height {
                let mut pixels = vec![0; 3 * width * height];
                pixels[3 * at] = 255;
                let (turned, wide, high) = rotation.pixels(&pixels, width, height);
                assert_eq!(wide * high, width * height);
                let seen = turned.iter().position(|value| *value == 255).unwrap() / 3;
                let around = |at: usize, across: usize| Rect {
                    left: (at % across) as f32,
                    top: (at / across) as f32,
                    right: (at % across + 1) as f32,
                    bottom: (at / across + 1) as f32,
                };
                assert_eq!(
                    rotation.undo(around(seen, wide), width, height),
                    around(at, width),
                    "{rotation:?} {at}"
                );
            }
        }
    }

    #[test]
    fn a_quarter_is_clockwise() {
        let row = [1, 1, 1, 2, 2, 2];
        assert_eq!(
            Rotation::Quarter.pixels(&row, 2, 1),
            (vec![1, 1, 1, 2, 2, 2], 1, 2)
        );
        assert_eq!(Rotation::Half.pixels(&row, 2, 1), (vec![2, 2, 2, 1, 1, 1], 2, 1));
        assert_eq!(
            Rotation::ThreeQuarters.pixels(&row, 2, 1),
            (vec![2, 2, 2, 1, 1, 1], 1, 2)
        );
    }
}
