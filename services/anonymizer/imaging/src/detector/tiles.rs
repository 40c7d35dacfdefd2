//! Cuts a photo into tiles for the networks.

use super::boxes::Rect;

/// The networks' inputs are multiples of this, pixels.
const STEP: u32 = 32;

/// Longest side of a tile, in pixels of the networks' input. It limits memory: a network needs about 350 MB for each
/// megapixel of its input.
const SIDE: u32 = 768;

/// Minimum overlap of tiles, so that an object at the edge of one tile is complete in the next. Larger objects are
/// complete in the coarse pass.
const OVERLAP: u32 = 64;

/// Minimum border around the photo. The networks find objects at the photo's edge more easily if it is not the input's
/// edge.
const BORDER: u32 = 24;

/// A part of the photo at one scale: one input of the networks.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tile {
    /// The input, across and down.
    pub columns: TileSpan,
    pub rows: TileSpan,
    /// Pixels of the photo per pixel of the input, across and down; rounding to whole pixels makes them differ.
    pub x_step: f64,
    pub y_step: f64,
}

/// A tile's extent along one side of the scaled photo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TileSpan {
    /// Length of the networks' input, a multiple of 32.
    pub length: u32,
    /// Position in the input at which the photo begins: the border's width.
    pub offset: u32,
    /// Position at which the shown part begins, pixels of the scaled photo.
    pub start: u32,
    /// Length of the shown part from `offset` on; the rest is border.
    pub shown: u32,
}

impl Tile {
    /// The shown part of a photo of this size: left, top, width, height, pixels of the photo.
    pub fn source(&self, width: u32, height: u32) -> [f64; 4] {
        let along = |span: &TileSpan, step: f64, limit: u32| {
            let start = f64::from(span.start) * step;
            let end = (f64::from(span.start + span.shown) * step).min(f64::from(limit));
            (start, end - start)
        };
        let (x, wide) = along(&self.columns, self.x_step, width);
        let (y, high) = along(&self.rows, self.y_step, height);
        [x, y, wide, high]
    }

    /// The shown part as a box.
    pub fn shown(&self, width: u32, height: u32) -> Rect {
        let [left, top, wide, high] = self.source(width, height);
        Rect {
            left: left as f32,
            top: top as f32,
            right: (left + wide) as f32,
            bottom: (top + high) as f32,
        }
    }

    /// Converts pixels of the networks' input to pixels of the photo.
    pub fn to_photo(&self, rect: &Rect) -> Rect {
        let convert = |at: f32, span: &TileSpan, step: f64| {
            ((f64::from(at) - f64::from(span.offset) + f64::from(span.start)) * step) as f32
        };
        Rect {
            left: convert(rect.left, &self.columns, self.x_step),
            top: convert(rect.top, &self.rows, self.y_step),
            right: convert(rect.right, &self.columns, self.x_step),
            bottom: convert(rect.bottom, &self.rows, self.y_step),
        }
    }
}

/// Cuts a photo, shown at `scale`, into tiles.
pub(super) fn cut(width: u32, height: u32, scale: f32) -> Vec<Tile> {
    let (scaled_width, scaled_height) = (scaled(width, scale), scaled(height, scale));
    let columns = spans(scaled_width);
    let x_step = f64::from(width) / f64::from(scaled_width);
    let y_step = f64::from(height) / f64::from(scaled_height);
    let row = |rows: TileSpan| {
        columns.iter().map(move |&columns| Tile {
            columns,
            rows,
            x_step,
            y_step,
        })
    };
    spans(scaled_height).into_iter().flat_map(row).collect()
}

/// A square of `side` pixels of the networks' input around a box. The box's longer side becomes `object` pixels long. At
/// the photo's edges the square moves inwards. The part beyond a smaller photo is border.
pub(super) fn around(rect: &Rect, object: u32, side: u32, width: u32, height: u32) -> Tile {
    let longer = rect.width().max(rect.height()).max(1.0);
    let scale = object as f32 / longer;
    let (scaled_width, scaled_height) = (scaled(width, scale), scaled(height, scale));
    let span = |low: f32, high: f32, length: u32| {
        let center = scale * (low + high) / 2.0;
        let shown = side.min(length);
        TileSpan {
            length: side,
            offset: (side - shown) / 2,
            start: ((center - side as f32 / 2.0).max(0.0) as u32).min(length - shown),
            shown,
        }
    };
    Tile {
        columns: span(rect.left, rect.right, scaled_width),
        rows: span(rect.top, rect.bottom, scaled_height),
        x_step: f64::from(width) / f64::from(scaled_width),
        y_step: f64::from(height) / f64::from(scaled_height),
    }
}

/// Pixels of the networks' inputs that a photo costs, shown at `scale`.
pub(super) fn cost(width: u32, height: u32, scale: f32) -> u64 {
    let along = |length: u32| {
        let (count, each) = division(scaled(length, scale));
        u64::from(count) * u64::from(each)
    };
    along(width) * along(height)
}

/// The scales up to `largest` at which a side of `length` pixels fills its inputs: a larger scale costs more, a smaller
/// one wastes border.
pub(super) fn filling(length: u32, largest: f32) -> impl Iterator<Item = f32> {
    let most = division(scaled(length, largest)).0;
    let lengths = (1..=SIDE / STEP).map(|steps| steps * STEP);
    lengths.flat_map(move |each| {
        (1..=most).filter_map(move |count| {
            let shown = (count * each).checked_sub((count - 1) * OVERLAP + 2 * BORDER)?;
            let scale = shown as f32 / length as f32;
            (shown > 0 && scale <= largest).then_some(scale)
        })
    })
}

fn scaled(length: u32, scale: f32) -> u32 {
    ((f64::from(length) * f64::from(scale)).round() as u32).max(1)
}

/// Number and length of the inputs for a side of `length` pixels and its borders.
fn division(length: u32) -> (u32, u32) {
    let total = length + 2 * BORDER;
    let count = if total <= SIDE {
        1
    } else {
        (total - OVERLAP).div_ceil(SIDE - OVERLAP)
    };
    let each = (total + (count - 1) * OVERLAP)
        .div_ceil(count)
        .next_multiple_of(STEP);
    (count, each)
}

/// Equal spans over a side of `length` pixels and its borders.
fn spans(length: u32) -> Vec<TileSpan> {
    let (count, each) = division(length);
    if count == 1 {
        return vec![TileSpan {
            length: each,
            offset: (each - length) / 2,
            start: 0,
            shown: length,
        }];
    }
    let last = length + 2 * BORDER - each;
    (0..count)
        .map(|i| {
            let begin = (u64::from(i) * u64::from(last) / u64::from(count - 1)) as u32;
            let start = begin.saturating_sub(BORDER);
            let offset = BORDER.saturating_sub(begin);
            TileSpan {
                length: each,
                offset,
                start,
                shown: (each - offset).min(length - start),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn spans_cover_the_side_with_overlap_and_border(length in 1u32..40_000) {
            let spans = spans(length);
            let first = spans[0];
            prop_assert_eq!(first.start, 0);
            prop_assert!(first.offset >= BORDER);
            for span in &spans {
                prop_assert!(span.length <= SIDE);
                prop_assert_eq!(span.length % STEP, 0);
                prop_assert!(span.offset + span.shown <= span.length);
            }
            for pair in spans.windows(2) {
                prop_assert!(pair[0].start + pair[0].shown >= (pair[1].start + OVERLAP).min(length));
            }
            let last = spans[spans.len() - 1];
            prop_assert_eq!(last.start + last.shown, length);
            prop_assert!(last.length - last.offset - last.shown >= BORDER);
        }

        #[test]
        fn a_square_around_a_box_shows_it_in_the_requested_size(
            width in 40u32..9000, height in 40u32..9000,
            x in 0.0f32..1.0, y in 0.0f32..1.0, wide in 0.01f32..1.0, high in 0.01f32..1.0,
        ) {
            let (left, top) = (x * (width - 1) as f32, y * (height - 1) as f32);
            let rect = Rect {
                left,
                top,
                right: left + (wide * (width as f32 - left)).max(1.0),
                bottom: top + (high * (height as f32 - top)).max(1.0),
            };
            let tile = around(&rect, 64, 128, width, height);
            for span in [tile.columns, tile.rows] {
                prop_assert_eq!(span.length, 128);
                prop_assert!(span.shown >= 1 && span.offset + span.shown <= span.length);
            }
            let shown = tile.shown(width, height);
            prop_assert!(shown.right <= width as f32 + 0.5 && shown.bottom <= height as f32 + 0.5);
            prop_assert!(shown.overlap(&rect) > 0.97 * rect.area(), "{shown:?} {rect:?}");
            let object = f64::from(rect.width().max(rect.height())) / tile.x_step.max(tile.y_step);
            prop_assert!(object <= 65.0);
        }

        #[test]
        fn cost_is_the_sum_of_the_inputs(width in 1u32..9000, height in 1u32..9000, scale in 0.05f32..2.0) {
            let pixels = |tile: &Tile| u64::from(tile.columns.length) * u64::from(tile.rows.length);
            prop_assert_eq!(cut(width, height, scale).iter().map(pixels).sum::<u64>(), cost(width, height, scale));
        }

        #[test]
        fn boxes_return_to_their_position_in_the_photo(
            width in 1u32..9000, height in 1u32..9000, scale in 0.05f32..2.0,
        ) {
            for tile in cut(width, height, scale) {
                let [x, y, wide, high] = tile.source(width, height);
                let shown = Rect {
                    left: tile.columns.offset as f32,
                    top: tile.rows.offset as f32,
                    right: (tile.columns.offset + tile.columns.shown) as f32,
                    bottom: (tile.rows.offset + tile.rows.shown) as f32,
                };
                let back = tile.to_photo(&shown);
                prop_assert!((f64::from(back.left) - x).abs() < 0.01);
                prop_assert!((f64::from(back.top) - y).abs() < 0.01);
                prop_assert!((f64::from(back.right) - x - wide).abs() < 0.01);
                prop_assert!((f64::from(back.bottom) - y - high).abs() < 0.01);
            }
        }
    }
}
