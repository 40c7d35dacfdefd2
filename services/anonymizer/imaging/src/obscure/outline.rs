//! The mask of a region: the pixels inside its shape, and how far its soft edge covers the pixels around it.

use std::ops::Range;

use super::{CORNER_RADIUS, PixelRect, Region, Shape};

/// A rectangle with elliptical corners, in a picture. An ellipse has radii of half the sides.
pub(super) struct Outline {
    rect: PixelRect,
    /// The picture's width and height.
    picture: [u32; 2],
    /// Width of the soft edge outside the shape, pixels.
    feather: f32,
    x: Axis,
    y: Axis,
}

/// The shape along one axis, pixels.
struct Axis {
    center: f32,
    /// Half of the side.
    half: f32,
    /// Radius of the corners.
    radius: f32,
    /// Whether the side before the centre, and the side behind it, is the picture's edge.
    open: [bool; 2],
}

impl Axis {
    /// How far a pixel's centre lies in the zone of the corners, in radii: 0 before it, 1 on the rectangle's side.
    fn corner(&self, pixel: u32) -> f32 {
        let from_center = pixel as f32 + 0.5 - self.center;
        if self.open[usize::from(from_center > 0.0)] {
            return 0.0;
        }
        (from_center.abs() - (self.half - self.radius)).max(0.0) / self.radius
    }
}

impl Outline {
    /// The outline of a region that lies inside the picture.
    pub fn new(region: &Region, width: u32, height: u32) -> Self {
        let rect = region.rect;
        let half = [rect.width as f32 / 2.0, rect.height as f32 / 2.0];
        let radius = match region.shape {
            Shape::Ellipse => half,
            Shape::RoundedRect => [2.0 * CORNER_RADIUS * half[0].min(half[1]); 2],
        };
        Self {
            rect,
            picture: [width, height],
            feather: region.cell() as f32 / 2.0,
            x: Axis {
                center: rect.x as f32 + half[0],
                half: half[0],
                radius: radius[0],
                open: [rect.x == 0, rect.right() == width],
            },
            y: Axis {
                center: rect.y as f32 + half[1],
                half: half[1],
                radius: radius[1],
                open: [rect.y == 0, rect.bottom() == height],
            },
        }
    }

    /// The columns of shape and soft edge.
    pub fn soft_columns(&self) -> Range<u32> {
        let feather = self.feather.ceil() as u32;
        self.rect.x.saturating_sub(feather)..self.rect.right().saturating_add(feather).min(self.picture[0])
    }

    /// The rows of shape and soft edge.
    pub fn soft_rows(&self) -> Range<u32> {
        let feather = self.feather.ceil() as u32;
        self.rect.y.saturating_sub(feather)..self.rect.bottom().saturating_add(feather).min(self.picture[1])
    }

    /// Whether the other outline, with its soft edge, lies inside this shape.
    pub fn covers(&self, other: &Self) -> bool {
        let (columns, rows) = (other.soft_columns(), other.soft_rows());
        let covers = |y: u32| {
            let inside = self.inside(y);
            inside.start <= columns.start && columns.end <= inside.end
        };
        // Shapes are convex.
        covers(rows.start) && covers(rows.end - 1)
    }

    /// The pixels of a row whose centres lie inside the shape; if there are none, an empty range in its middle.
    pub fn inside(&self, y: u32) -> Range<u32> {
        let corner = self.y.corner(y);
        let (left, right) = (self.rect.x, self.rect.right());
        if corner > 1.0 || y < self.rect.y || y >= self.rect.bottom() {
            let middle = left + self.rect.width / 2;
            return middle..middle;
        }
        let radius = self.x.radius;
        let half = self.x.half - radius + radius * (1.0 - corner * corner).sqrt();
        let from = (self.x.center - half - 0.5).ceil() as u32;
        let to = (self.x.center + half + 0.5).floor() as u32;
        let from = if self.x.open[0] {
            left
        } else {
            from.clamp(left, right)
        };
        let to = if self.x.open[1] {
            right
        } else {
            to.clamp(from, right)
        };
        from..to
    }

    /// The replaced share of row `y`'s pixels outside the shape, by column: near 1 at the shape, 0 at the end of the soft
    /// edge.
    pub fn coverage(&self, y: u32) -> impl Fn(u32) -> f32 {
        let down = self.y.corner(y);
        let y = down * self.y.radius;
        move |x| {
            let across = self.x.corner(x);
            let radii = (across * across + down * down).sqrt();
            if radii <= 1.0 {
                return 1.0;
            }
            let x = across * self.x.radius;
            // Measured from the shape along the line from the corner's centre.
            let distance = (x * x + y * y).sqrt() * (1.0 - 1.0 / radii);
            (1.0 - distance / self.feather).max(0.0)
        }
    }
}
