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
const HEAD_CELLS: f32 = 8.0;

/// Cells across a standing person: three or four of them across the head, and
/// enough over the body to show the posture.
const PERSON_CELLS: f32 = 12.0;

/// Cells across a vehicle, enough to see which machine it is.
///
/// The short side of a car's box is its height of some 1.5 m: a cell is 9 cm. A
/// licence plate of 52 × 11 cm, a quarter of the car's width and a sixteenth to a
/// fourteenth of its height, gets one row of six cells, and its characters of
/// 5 × 8 cm fall below one cell. Lettering on the side of a truck of 3.5 m
/// has cells of 22 cm; letters need some five cells in height to be read.
const VEHICLE_CELLS: f32 = 16.0;

/// A longer box shows only a part of an object that the picture's edge cuts off: its
/// short side counts as this share of the long one.
const LEAST_ASPECT: f32 = 0.25;
/// The same of a head, whose sides differ less.
const LEAST_HEAD_ASPECT: f32 = 2.0 / 3.0;

/// A person's box this many times as high as wide shows a standing person. A lower one may
/// show a head alone.
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

    /// The part inside another rectangle; `None` where there is none.
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
    /// Least side of a cell, pixels; [`MIN_CELL`] if that is more.
    pub cell: u32,
    /// What it looks like afterwards.
    pub mode: Mode,
}

impl Region {
    /// How a detected object is obscured.
    #[must_use]
    pub fn for_detection(detection: &Detection, modes: Modes) -> Self {
        let whole = [detection.width as f32, detection.height as f32];
        Self::for_part(detection, whole, false, modes)
    }

    /// How an object is obscured whose detection shows the part inside the picture.
    /// `whole` is the width and height of all of it, pixels. `has_face`: a face was found in
    /// this person, so the box does not show a head alone.
    #[must_use]
    pub fn for_part(detection: &Detection, whole: [f32; 2], has_face: bool, modes: Modes) -> Self {
        let [width, height] = whole;
        let is_body = has_face || height >= STANDING * width;
        let (shape, cells_across, aspect) = match detection.class {
            Class::Face => (Shape::Ellipse, HEAD_CELLS, LEAST_HEAD_ASPECT),
            Class::Person if is_body => (Shape::RoundedRect, PERSON_CELLS, LEAST_ASPECT),
            Class::Person => (Shape::RoundedRect, HEAD_CELLS, LEAST_ASPECT),
            Class::Bicycle | Class::Car | Class::Motorcycle | Class::Bus | Class::Truck => {
                (Shape::RoundedRect, VEHICLE_CELLS, LEAST_ASPECT)
            }
        };
        let short_side = width.min(height).max(aspect * width.max(height));
        Self {
            rect: PixelRect {
                x: detection.x,
                y: detection.y,
                width: detection.width,
                height: detection.height,
            },
            shape,
            cell: (short_side / cells_across).ceil() as u32,
            mode: modes.for_class(detection.class),
        }
    }

    /// Least side of a cell, pixels.
    #[must_use]
    pub fn cell(&self) -> u32 {
        self.cell.max(MIN_CELL)
    }

    /// The part inside a picture, widened to one cell where the picture has
    /// room; `None` where there is none.
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
