//! Boxes in pixels with fractions.

use crate::Class;
use std::{fmt, str::FromStr};

/// Points across and down for [`Rect::covered_share`].
const POINTS: u32 = 16;

/// A box by its edges, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rect {
    pub left: f32,
    pub top: f32,
    pub right: f32,
    pub bottom: f32,
}

impl Rect {
    /// Width; never negative.
    #[must_use]
    pub fn width(&self) -> f32 {
        (self.right - self.left).max(0.0)
    }

    /// Height; never negative.
    #[must_use]
    pub fn height(&self) -> f32 {
        (self.bottom - self.top).max(0.0)
    }

    /// Area in pixels.
    #[must_use]
    pub fn area(&self) -> f32 {
        self.width() * self.height()
    }

    /// The area of the intersection.
    #[must_use]
    pub fn overlap(&self, other: &Self) -> f32 {
        let width = self.right.min(other.right) - self.left.max(other.left);
        let height = self.bottom.min(other.bottom) - self.top.max(other.top);
        width.max(0.0) * height.max(0.0)
    }

    /// Intersection over union, 0 to 1.
    #[must_use]
    pub fn iou(&self, other: &Self) -> f32 {
        let overlap = self.overlap(other);
        let union = self.area() + other.area() - overlap;
        if union > 0.0 { overlap / union } else { 0.0 }
    }

    /// Whether the centre of `other` lies inside.
    #[must_use]
    pub fn contains_center(&self, other: &Self) -> bool {
        let (x, y) = ((other.left + other.right) / 2.0, (other.top + other.bottom) / 2.0);
        (self.left..self.right).contains(&x) && (self.top..self.bottom).contains(&y)
    }

    /// The share of this box that lies in any of the others, estimated at 16 × 16 points.
    #[must_use]
    pub fn covered_share(&self, others: &[Self]) -> f32 {
        let at = |low: f32, length: f32, point: u32| low + length * (point as f32 + 0.5) / POINTS as f32;
        let is_covered = |point: &u32| {
            let x = at(self.left, self.width(), point % POINTS);
            let y = at(self.top, self.height(), point / POINTS);
            let covers =
                |one: &Self| (one.left..one.right).contains(&x) && (one.top..one.bottom).contains(&y);
            others.iter().any(covers)
        };
        (0..POINTS * POINTS).filter(is_covered).count() as f32 / (POINTS * POINTS) as f32
    }

    /// Its mirror image in a picture of this width.
    #[must_use]
    pub fn mirrored(&self, width: f32) -> Self {
        Self {
            left: width - self.right,
            right: width - self.left,
            ..*self
        }
    }

    /// The box with margins, which are shares of its width and height.
    #[must_use]
    pub fn expanded(&self, margins: &Margins) -> Self {
        Self {
            left: margins.sides.mul_add(-self.width(), self.left),
            top: margins.top.mul_add(-self.height(), self.top),
            right: margins.sides.mul_add(self.width(), self.right),
            bottom: margins.bottom.mul_add(self.height(), self.bottom),
        }
    }
}

/// Margins around a box, as shares of its size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Margins {
    /// At the top, share of the height.
    pub top: f32,
    /// At the left and at the right, share of the width.
    pub sides: f32,
    /// At the bottom, share of the height.
    pub bottom: f32,
}

/// The text is not three margins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a margin is three shares of the box, each from 0 to 3: top,sides,bottom")]
pub struct InvalidMargins;

impl FromStr for Margins {
    type Err = InvalidMargins;

    fn from_str(text: &str) -> Result<Self, InvalidMargins> {
        let share = |part: &str| {
            let share = part.trim().parse::<f32>().map_err(|_| InvalidMargins)?;
            (0.0..=3.0)
                .contains(&share)
                .then_some(share)
                .ok_or(InvalidMargins)
        };
        let parts = text.split(',').map(share).collect::<Result<Vec<_>, _>>()?;
        match parts[..] {
            [top, sides, bottom] => Ok(Self { top, sides, bottom }),
            _ => Err(InvalidMargins),
        }
    }
}

impl fmt::Display for Margins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{}", self.top, self.sides, self.bottom)
    }
}

/// An object to hide.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DetectedObject {
    pub class: Class,
    /// The model's score, 0 to 1.
    pub score: f32,
    /// The box with its margins.
    pub rect: Rect,
    /// Whether another one with a higher score is the same object. This one is hidden, but not reported.
    pub is_repeated: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_cover_together_what_each_covers_in_part() {
        let rect = |left, top, right, bottom| Rect {
            left,
            top,
            right,
            bottom,
        };
        let head = rect(100.0, 100.0, 140.0, 140.0);
        let upper = rect(0.0, 0.0, 200.0, 120.0);
        let left = rect(0.0, 0.0, 120.0, 200.0);
        let share = |others: &[Rect]| head.covered_share(others);
        assert!(share(&[]).abs() < f32::EPSILON);
        assert!((share(&[upper]) - 0.5).abs() < f32::EPSILON);
        assert!((share(&[upper, left]) - 0.75).abs() < f32::EPSILON);
    }

    #[test]
    fn margins_are_shares_of_the_box() {
        let rect = |left, top, right, bottom| Rect {
            left,
            top,
            right,
            bottom,
        };
        let margins = Margins {
            top: 0.5,
            sides: 0.1,
            bottom: 0.25,
        };
        let expanded = rect(10.0, 10.0, 20.0, 30.0).expanded(&margins);
        assert_eq!(expanded, rect(9.0, 0.0, 21.0, 35.0));
    }
}
