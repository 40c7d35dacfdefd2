//! Boxes in pixels with fractions, and which of several to keep.

use std::{fmt, str::FromStr};

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

    /// The smallest box that contains both.
    #[must_use]
    pub const fn around(&self, other: &Self) -> Self {
        Self {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
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

/// The text is no growth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a margin is three shares of the box, each from 0 to 3: top,sides,bottom")]
pub struct InvalidGrowth;

impl FromStr for Growth {
    type Err = InvalidGrowth;

    fn from_str(text: &str) -> Result<Self, InvalidGrowth> {
        let share = |part: &str| {
            let share = part.trim().parse::<f32>().map_err(|_| InvalidGrowth)?;
            (0.0..=3.0).contains(&share).then_some(share).ok_or(InvalidGrowth)
        };
        let parts = text.split(',').map(share).collect::<Result<Vec<_>, _>>()?;
        match parts[..] {
            [top, sides, bottom] => Ok(Self { top, sides, bottom }),
            _ => Err(InvalidGrowth),
        }
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{}", self.top, self.sides, self.bottom)
    }
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

/// Of boxes of one class that overlap by more than `iou`, the one with the
/// highest score stays (non-maximum suppression). Best first.
#[must_use]
pub fn suppress(mut found: Vec<Found>, iou: f32) -> Vec<Found> {
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Found> = Vec::new();
    for candidate in found {
        let same = |k: &Found| k.class == candidate.class && k.rect.iou(&candidate.rect) > iou;
        if !kept.iter().any(same) {
            kept.push(candidate);
        }
    }
    kept
}

/// Tells of each thing once: of boxes of one class that overlap by more than
/// `iou`, or of which one lies mostly in the other, the one with the highest
/// score takes in the others. So nothing that any of them covers is lost. Best
/// first.
#[must_use]
pub fn fuse(mut found: Vec<Found>, iou: f32) -> Vec<Found> {
    /// Share of the smaller box.
    const MOSTLY: f32 = 0.8;
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    // Compared is with the best box as it was found: a growing one would
    // swallow its neighbours.
    let mut kept: Vec<(Rect, Found)> = Vec::new();
    for candidate in found {
        let same = |(rect, k): &&mut (Rect, Found)| {
            let smaller = rect.area().min(candidate.rect.area());
            k.class == candidate.class
                && (rect.iou(&candidate.rect) > iou || rect.overlap(&candidate.rect) > MOSTLY * smaller)
        };
        match kept.iter_mut().find(same) {
            Some((_, best)) => best.rect = best.rect.around(&candidate.rect),
            None => kept.push((candidate.rect, candidate)),
        }
    }
    kept.into_iter().map(|(_, found)| found).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn person(score: f32, [left, top, right, bottom]: [f32; 4]) -> Found {
        Found {
            class: Class::Person,
            score,
            rect: Rect {
                left,
                top,
                right,
                bottom,
            },
        }
    }

    #[test]
    fn of_two_views_of_one_thing_the_better_stays() {
        let worse = person(0.4, [1.0, 1.0, 11.0, 21.0]);
        let better = person(0.8, [0.0, 0.0, 10.0, 20.0]);
        let beside = person(0.3, [8.0, 0.0, 18.0, 20.0]);
        assert_eq!(suppress(vec![worse, better, beside], 0.6), vec![better, beside]);
    }

    #[test]
    fn classes_do_not_suppress_each_other() {
        let rider = person(0.8, [0.0, 0.0, 10.0, 20.0]);
        let bicycle = Found {
            class: Class::Bicycle,
            ..rider
        };
        assert_eq!(suppress(vec![rider, bicycle], 0.6).len(), 2);
        assert_eq!(fuse(vec![rider, bicycle], 0.6).len(), 2);
    }

    #[test]
    fn growth_is_by_shares_of_the_box() {
        let growth = Growth {
            top: 0.5,
            sides: 0.1,
            bottom: 0.25,
        };
        let grown = person(1.0, [10.0, 10.0, 20.0, 30.0]).rect.grown(&growth);
        assert_eq!(grown, person(1.0, [9.0, 0.0, 21.0, 35.0]).rect);
    }

    #[test]
    fn half_of_a_person_is_no_second_person() {
        let whole = person(0.8, [0.0, 0.0, 10.0, 40.0]);
        let bust = person(0.4, [1.0, -2.0, 9.0, 15.0]);
        let neighbour = person(0.5, [6.0, 0.0, 16.0, 40.0]);
        let both = person(0.8, [0.0, -2.0, 10.0, 40.0]);
        assert_eq!(fuse(vec![bust, whole, neighbour], 0.45), vec![both, neighbour]);
    }

    fn any_found() -> impl Strategy<Value = Found> {
        (
            0.0f32..1.0,
            0.0f32..100.0,
            0.0f32..100.0,
            1.0f32..60.0,
            1.0f32..60.0,
        )
            .prop_map(|(score, x, y, w, h)| person(score, [x, y, x + w, y + h]))
    }

    proptest! {
        #[test]
        fn fusing_leaves_no_box_uncovered(found in prop::collection::vec(any_found(), 0..40)) {
            let fused = fuse(found.clone(), 0.45);
            prop_assert!(fused.len() <= found.len());
            for thing in &found {
                prop_assert!(fused.iter().any(|f| f.rect.around(&thing.rect) == f.rect));
            }
        }
    }
}
