//! What to obscure: where, in which shape, and how coarsely.

use contract::{Class, Detection};

use super::{Mode, Modes};

/// Side of the smallest cell, pixels. Small heads would otherwise keep cells of
/// two or three pixels, in which they can be recognised.
pub const MIN_CELL: u32 = 8;

/// Radius of a [`Shape::RoundedRect`]'s corners, share of its short side.
///
/// A head a third as wide as the person may touch the corner of the person's box.
/// The corner uncovers `(1 - π/4) r²` of it: with `r` = 0.15 widths 0.0048 of
/// the head's `1/9` square widths. So 95.7 % of the head's box are covered.
pub const CORNER_RADIUS: f32 = 0.15;

/// Cells across a head. Compared with originals, such a head is recognised no more
/// often than by chance; docs/detector.md has the figures, and what a stronger attack finds.
const HEAD_CELLS: u32 = 8;

/// Cells across a standing person: three or four of them across the head, and
/// enough over the body to show the posture.
const PERSON_CELLS: u32 = 12;

/// Cells across a vehicle, enough to see which machine it is.
///
/// The short side of a car's box is its height of some 1.5 m: a cell is 9 cm. A
/// licence plate of 52 × 11 cm, a quarter of the car's width and a sixteenth to a
/// fourteenth of its height, gets one row of six cells, and its characters of
/// 5 × 8 cm fall below one cell. Lettering on the side of a truck of 3.5 m
/// has cells of 22 cm; letters need some five cells in height to be read.
const VEHICLE_CELLS: u32 = 16;

/// A longer box is only a part of an object that the picture's edge cuts off.
const MAX_ASPECT: u32 = 4;

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

    /// The part inside a picture; `None` where there is none.
    fn clipped(self, width: u32, height: u32) -> Option<Self> {
        let right = self.x.saturating_add(self.width).min(width);
        let bottom = self.y.saturating_add(self.height).min(height);
        (self.x < right && self.y < bottom).then(|| Self {
            x: self.x,
            y: self.y,
            width: right - self.x,
            height: bottom - self.y,
        })
    }
}

/// The form of a region within its rectangle. Sides at the picture's edge are
/// straight: the object may go on behind it.
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
    /// Where it is. Parts outside the picture are ignored.
    pub rect: PixelRect,
    /// Its form.
    pub shape: Shape,
    /// Cells across the short side; fewer where they would be smaller than
    /// [`MIN_CELL`].
    pub cells_across: u32,
    /// What it looks like afterwards.
    pub mode: Mode,
}

impl Region {
    /// How a detected object is obscured.
    #[must_use]
    pub fn for_detection(detection: &Detection, modes: Modes) -> Self {
        let (width, height) = (detection.width, detection.height);
        // A box less than one and a half times as high as it is wide may show a
        // head alone.
        let standing = u64::from(height) * 2 >= u64::from(width) * 3;
        let (shape, cells_across) = match detection.class {
            Class::Face => (Shape::Ellipse, HEAD_CELLS),
            Class::Person if standing => (Shape::RoundedRect, PERSON_CELLS),
            Class::Person => (Shape::RoundedRect, HEAD_CELLS),
            Class::Bicycle | Class::Car | Class::Motorcycle | Class::Bus | Class::Truck => {
                (Shape::RoundedRect, VEHICLE_CELLS)
            }
        };
        Self {
            rect: PixelRect {
                x: detection.x,
                y: detection.y,
                width,
                height,
            },
            shape,
            cells_across,
            mode: modes.for_class(detection.class),
        }
    }

    /// Least side of a cell, pixels.
    #[must_use]
    pub fn cell(&self) -> u32 {
        let (width, height) = (self.rect.width, self.rect.height);
        let side = width.min(height).max(width.max(height) / MAX_ASPECT);
        side.div_ceil(self.cells_across.max(1)).max(MIN_CELL)
    }

    /// The part inside a picture, widened to one cell where the picture has
    /// room; `None` where there is none.
    pub(super) fn clipped(&self, width: u32, height: u32) -> Option<Self> {
        let rect = self.rect.clipped(width, height)?;
        let cell = Self { rect, ..*self }.cell();
        let (x, width) = widened(rect.x, rect.width, cell, width);
        let (y, height) = widened(rect.y, rect.height, cell, height);
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
