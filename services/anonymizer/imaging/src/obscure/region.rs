//! The regions to obscure: position, shape and cell size.

use super::{ObscureMode, ObscureModes};
use crate::{Class, ClassGroup};

/// Side of the smallest cell, pixels. Otherwise, small heads would get cells of two or three pixels and could be
/// recognised.
pub const MIN_CELL: u32 = 8;

/// Radius of a [`Shape::RoundedRect`]'s corners, share of its short side.
///
/// A head a third as wide as the person may touch the corner of the person's box. The corner uncovers `(1 - π/4) r²` of
/// it: with `r` = 0.15 widths, 0.0048 of the head's `1/9` square widths. So 95.7 % of the head's box are covered.
pub const CORNER_RADIUS: f32 = 0.15;

/// Cells across a head. Compared with originals, such a head is recognised no more often than by chance. docs/detector.md
/// has the figures, and those of a stronger attack.
const HEAD_CELLS: f32 = 8.0;

/// Cells across a standing person: three or four across the head, and enough over the body to show the posture.
const PERSON_CELLS: f32 = 12.0;

/// Cells across a vehicle, enough to see which machine it is.
///
/// The short side of a car's box is its height of about 1.5 m: a cell is 9 cm. A licence plate of 52 × 11 cm gets one row
/// of six cells, and its characters of 5 × 8 cm are smaller than a cell. Lettering on the side of a truck of 3.5 m has
/// cells of 22 cm; legible letters need about five cells in height.
const VEHICLE_CELLS: f32 = 16.0;

/// A longer box shows a part of an object that the picture's edge cuts off: its short side counts as this share of the
/// long one.
const LEAST_ASPECT: f32 = 0.25;
/// The same share for a head, whose sides differ less.
const LEAST_HEAD_ASPECT: f32 = 2.0 / 3.0;

/// A person's box this many times as high as wide shows a standing person. A lower box may show only a head.
const STANDING: f32 = 1.5;

/// A rectangle of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PixelRect {
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

impl PixelRect {
    pub(super) const fn right(self) -> u32 {
        self.x + self.width
    }

    pub(super) const fn bottom(self) -> u32 {
        self.y + self.height
    }

    /// The part inside another rectangle, if any.
    pub(super) fn within(&self, other: &Self) -> Option<Self> {
        let (x, y) = (self.x.max(other.x), self.y.max(other.y));
        let right = self.x.saturating_add(self.width).min(other.right());
        let bottom = self.y.saturating_add(self.height).min(other.bottom());
        (x < right && y < bottom).then(|| Self {
            x,
            y,
            width: right - x,
            height: bottom - y,
        })
    }
}

/// The form of a region within its rectangle. Sides at the picture's edge are straight, because the object may continue
/// beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// The ellipse that touches all four sides.
    Ellipse,
    /// The rectangle with corners rounded by [`CORNER_RADIUS`].
    RoundedRect,
}

/// One object to obscure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Region {
    /// Parts outside the picture are ignored.
    pub rect: PixelRect,
    pub shape: Shape,
    /// Minimum side of a cell, pixels; at least [`MIN_CELL`].
    pub cell: u32,
    pub mode: ObscureMode,
}

impl Region {
    /// The region of an object in this box.
    #[must_use]
    pub fn for_object(class: Class, rect: PixelRect, modes: ObscureModes) -> Self {
        let whole = [rect.width as f32, rect.height as f32];
        Self::for_part(class, rect, whole, false, modes)
    }

    /// The region of an object with the part `rect` inside the picture. `whole` is the width and height of the object, pixels.
    /// `has_face`: a face was found in this person, so the box shows more than a head.
    #[must_use]
    pub fn for_part(
        class: Class,
        rect: PixelRect,
        whole: [f32; 2],
        has_face: bool,
        modes: ObscureModes,
    ) -> Self {
        let [width, height] = whole;
        let is_body = has_face || height >= STANDING * width;
        let (shape, cells_across, aspect) = match class.group() {
            ClassGroup::Face => (Shape::Ellipse, HEAD_CELLS, LEAST_HEAD_ASPECT),
            ClassGroup::Person if is_body => (Shape::RoundedRect, PERSON_CELLS, LEAST_ASPECT),
            ClassGroup::Person => (Shape::RoundedRect, HEAD_CELLS, LEAST_ASPECT),
            ClassGroup::Vehicle => (Shape::RoundedRect, VEHICLE_CELLS, LEAST_ASPECT),
        };
        let short_side = width.min(height).max(aspect * width.max(height));
        Self {
            rect,
            shape,
            cell: (short_side / cells_across).ceil() as u32,
            mode: modes.for_class(class),
        }
    }

    /// Minimum side of a cell, pixels.
    #[must_use]
    pub fn cell(&self) -> u32 {
        self.cell.max(MIN_CELL)
    }

    /// The part inside a picture, if any, widened to one cell if the picture is large enough.
    pub(super) fn clipped(&self, width: u32, height: u32) -> Option<Self> {
        let picture = PixelRect {
            x: 0,
            y: 0,
            width,
            height,
        };
        let rect = self.rect.within(&picture)?;
        let (x, width) = widened(rect.x, rect.width, self.cell(), width);
        let (y, height) = widened(rect.y, rect.height, self.cell(), height);
        Some(Self {
            rect: PixelRect { x, y, width, height },
            ..*self
        })
    }
}

/// Start and length of a span that is at least `least` long, if `limit` allows.
fn widened(start: u32, length: u32, least: u32, limit: u32) -> (u32, u32) {
    let wide = length.max(least.min(limit));
    (start.saturating_sub((wide - length) / 2).min(limit - wide), wide)
}
