//! Boxes in pixels with fractions, and which of several to keep.

use contract::Class;

/// A box by its edges, in pixels of whatever picture is being spoken of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rect {
    /// Left edge.
    pub left: f32,
    /// Top edge.
    pub top: f32,
    /// Right edge.
    pub right: f32,
    /// Bottom edge.
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

    /// The area that both have.
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

    /// Whether the other box lies within this one.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.left <= other.left
            && self.top <= other.top
            && self.right >= other.right
            && self.bottom >= other.bottom
    }

    /// Grown by shares of its own width and height.
    #[must_use]
    pub fn grown(&self, growth: &Growth) -> Self {
        Self {
            left: growth.sides.mul_add(-self.width(), self.left),
            top: growth.top.mul_add(-self.height(), self.top),
            right: growth.sides.mul_add(self.width(), self.right),
            bottom: growth.bottom.mul_add(self.height(), self.bottom),
        }
    }
}

/// How much is added to a box, as shares of its own size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// At the top, share of the height.
    pub top: f32,
    /// At the left and at the right, share of the width.
    pub sides: f32,
    /// At the bottom, share of the height.
    pub bottom: f32,
}

/// One thing that a model sees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// What it is.
    pub class: Class,
    /// The model's score, 0 to 1.
    pub score: f32,
    /// Where it is.
    pub rect: Rect,
}

/// Non-maximum suppression: of boxes of one class that overlap by more than
/// `iou`, the one with the highest score stays. Best first.
#[must_use]
pub fn suppress(mut found: Vec<Found>, iou: f32) -> Vec<Found> {
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Found> = Vec::new();
    for candidate in found {
        let seen = kept
            .iter()
            .any(|k| k.class == candidate.class && k.rect.iou(&candidate.rect) > iou);
        if !seen {
            kept.push(candidate);
        }
    }
    kept
}
