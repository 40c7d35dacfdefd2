//! Quarter turns: cameras hang upside down or sideways, and not every one of
//! them says so in EXIF. The networks know people upright only.

use super::boxes::Rect;

/// How the canvas is turned before the networks look at it, clockwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    None,
    Quarter,
    Half,
    ThreeQuarters,
}

impl Turn {
    /// All but none.
    pub const OTHERS: [Self; 3] = [Self::Quarter, Self::Half, Self::ThreeQuarters];

    /// The turned pixels (three bytes each) and their width and height.
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

    /// A box of the turned canvas as a box of the canvas of this size as it
    /// was.
    pub fn back(self, rect: Rect, width: usize, height: usize) -> Rect {
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
    fn a_box_comes_back_to_the_pixel_that_it_was_around() {
        let (width, height) = (5usize, 3usize);
        for turn in [Turn::None, Turn::Quarter, Turn::Half, Turn::ThreeQuarters] {
            for at in 0..width * height {
                let mut pixels = vec![0; 3 * width * height];
                pixels[3 * at] = 255;
                let (turned, wide, high) = turn.pixels(&pixels, width, height);
                assert_eq!(wide * high, width * height);
                let seen = turned.iter().position(|value| *value == 255).unwrap() / 3;
                let around = |at: usize, across: usize| Rect {
                    left: (at % across) as f32,
                    top: (at / across) as f32,
                    right: (at % across + 1) as f32,
                    bottom: (at / across + 1) as f32,
                };
                assert_eq!(
                    turn.back(around(seen, wide), width, height),
                    around(at, width),
                    "{turn:?} {at}"
                );
            }
        }
    }

    #[test]
    fn a_quarter_is_clockwise() {
        let row = [1, 1, 1, 2, 2, 2];
        assert_eq!(Turn::Quarter.pixels(&row, 2, 1), (vec![1, 1, 1, 2, 2, 2], 1, 2));
        assert_eq!(Turn::Half.pixels(&row, 2, 1), (vec![2, 2, 2, 1, 1, 1], 2, 1));
        assert_eq!(
            Turn::ThreeQuarters.pixels(&row, 2, 1),
            (vec![2, 2, 2, 1, 1, 1], 1, 2)
        );
    }
}
