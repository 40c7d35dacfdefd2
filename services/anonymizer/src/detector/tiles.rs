//! How a photo is cut up for the networks.

use super::boxes::Rect;

/// The networks' inputs are multiples of this, pixels.
const STEP: u32 = 32;

/// A part of the photo at one scale, as the networks get it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tile {
    /// Width of the networks' input, a multiple of 32.
    pub width: u32,
    /// Height of the networks' input, a multiple of 32.
    pub height: u32,
    /// The part of the photo that is shown, in its pixels.
    pub source: Rect,
    /// Where in the input that part begins.
    pub content_x: u32,
    /// Where in the input that part begins.
    pub content_y: u32,
    /// Its width in the input.
    pub content_width: u32,
    /// Its height in the input.
    pub content_height: u32,
}

impl Tile {
    /// From pixels of the networks' input to pixels of the photo.
    pub fn to_photo(&self, rect: &Rect) -> Rect {
        let x_scale = self.source.width() / self.content_width as f32;
        let y_scale = self.source.height() / self.content_height as f32;
        let x = |at: f32| (at - self.content_x as f32).mul_add(x_scale, self.source.left);
        let y = |at: f32| (at - self.content_y as f32).mul_add(y_scale, self.source.top);
        Rect {
            left: x(rect.left),
            top: y(rect.top),
            right: x(rect.right),
            bottom: y(rect.bottom),
        }
    }
}

/// A part of one side: where the input begins (in pixels of the scaled photo,
/// may be negative), how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: i64,
    length: u32,
}

/// Cuts a photo of `width` × `height`, shown at `scale`, into tiles of at most
/// `side` pixels that overlap by `overlap` and have a border of `border`
/// pixels around the photo.
pub(super) fn cut(width: u32, height: u32, scale: f32, side: u32, overlap: u32, border: u32) -> Vec<Tile> {
    let scaled = |length: u32| ((length as f32 * scale).round() as u32).max(1);
    let (scaled_width, scaled_height) = (scaled(width), scaled(height));
    let columns = spans(scaled_width, side, overlap, border);
    let rows = spans(scaled_height, side, overlap, border);
    let mut tiles = Vec::with_capacity(rows.len() * columns.len());
    for row in &rows {
        for column in &columns {
            let (content_x, from_x, to_x) = inside(*column, scaled_width);
            let (content_y, from_y, to_y) = inside(*row, scaled_height);
            let x_scale = width as f32 / scaled_width as f32;
            let y_scale = height as f32 / scaled_height as f32;
            tiles.push(Tile {
                width: column.length,
                height: row.length,
                source: Rect {
                    left: from_x as f32 * x_scale,
                    top: from_y as f32 * y_scale,
                    right: (to_x as f32 * x_scale).min(width as f32),
                    bottom: (to_y as f32 * y_scale).min(height as f32),
                },
                content_x,
                content_y,
                content_width: to_x - from_x,
                content_height: to_y - from_y,
            });
        }
    }
    tiles
}

/// Where the photo begins in a span's input, and which part of it is shown.
fn inside(span: Span, length: u32) -> (u32, u32, u32) {
    let from = span.start.clamp(0, i64::from(length));
    let to = (span.start + i64::from(span.length)).clamp(0, i64::from(length));
    let narrow = |n: i64| u32::try_from(n).unwrap_or(0);
    (narrow(from - span.start), narrow(from), narrow(to))
}

/// Equal spans over a side of `length` pixels and its two borders.
fn spans(length: u32, side: u32, overlap: u32, border: u32) -> Vec<Span> {
    let total = length + 2 * border;
    let count = if total <= side {
        1
    } else {
        (total - overlap).div_ceil(side - overlap)
    };
    let each = (total + (count - 1) * overlap)
        .div_ceil(count)
        .next_multiple_of(STEP);
    let last = i64::from(total) - i64::from(each);
    (0..count)
        .map(|i| Span {
            start: if count == 1 {
                -i64::from(border)
            } else {
                i64::from(i) * last / i64::from(count - 1) - i64::from(border)
            },
            length: each,
        })
        .collect()
}
