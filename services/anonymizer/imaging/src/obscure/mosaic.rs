//! A region's cells: their colours, and the interpolation between them.
//!
//! A box blur as wide as a cell, over a mosaic, is the linear interpolation between the centres of the cells.

use std::ops::Range;

use super::{ObscureMode, Region, outline::Outline};

/// A colour with parts of 0 to 255: red, green, blue.
type Color = [u32; 3];

/// The grey of [`ObscureMode::Solid`].
const GREY: Color = [128; 3];

/// The sum of the weights of two mixed colours. Whole numbers give the same pixels on every machine.
const WEIGHTS: u32 = 256;

/// Rows and columns of cells over a region's rectangle.
pub(super) struct Mosaic {
    /// Starts of the columns, and the end of the last one, pixels.
    columns: Vec<u32>,
    /// Starts of the rows, and the end of the last one, pixels.
    rows: Vec<u32>,
    /// The cells' colours, row by row.
    colors: Vec<Color>,
}

impl Mosaic {
    /// The mosaic of a region that lies inside the picture.
    pub fn new(pixels: &[u8], width: u32, region: &Region, outline: &Outline) -> Self {
        let (rect, cell) = (region.rect, region.cell());
        let columns = borders(rect.x, rect.width, cell);
        let rows = borders(rect.y, rect.height, cell);
        let across = columns.len() - 1;
        let colors = match region.mode {
            ObscureMode::Mosaic => means(pixels, width, outline, &columns, &rows),
            ObscureMode::Blur => blurred(&means(pixels, width, outline, &columns, &rows), across),
            ObscureMode::Solid => vec![GREY; across * (rows.len() - 1)],
        };
        Self {
            columns,
            rows,
            colors,
        }
    }

    /// The borders of columns and rows, pixels.
    #[cfg(test)]
    pub fn borders(&self) -> (&[u32], &[u32]) {
        (&self.columns, &self.rows)
    }

    /// Replaces the pixels inside the outline by the colours of their cells.
    pub fn fill(&self, pixels: &mut [u8], width: u32, outline: &Outline) {
        let stride = 3 * width as usize;
        let across = self.columns.len() - 1;
        for (rows, colors) in self.rows.windows(2).zip(self.colors.chunks(across)) {
            for y in rows[0]..rows[1] {
                let shape = outline.inside(y);
                let row = &mut pixels[stride * y as usize..][..stride];
                for (cell, color) in self.columns.windows(2).zip(colors) {
                    let from = cell[0].clamp(shape.start, shape.end) as usize;
                    let to = cell[1].clamp(shape.start, shape.end) as usize;
                    let (pixels, _) = row[3 * from..3 * to].as_chunks_mut::<3>();
                    pixels.fill(color.map(|part| part as u8));
                }
            }
        }
    }

    /// Interpolates the colours of these columns of pixels. Beyond the centres of the outer cells, colours do not change.
    pub fn painter(&self, columns: Range<u32>) -> Painter<'_> {
        let centers = centers(&self.columns);
        Painter {
            mosaic: self,
            centers: self::centers(&self.rows),
            line: vec![Color::default(); centers.len()],
            row: vec![[0; 3]; columns.len()],
            spans: spans(columns, &centers),
        }
    }
}

/// Computes a mosaic's pixels, row by row.
pub(super) struct Painter<'m> {
    mosaic: &'m Mosaic,
    /// The vertical centres of the cells.
    centers: Vec<f32>,
    /// The pixels of a row by the two cells around them.
    spans: Vec<CellSpan>,
    /// The colours of each column of cells in the current row, times [`WEIGHTS`].
    line: Vec<Color>,
    /// The pixels of the current row.
    row: Vec<[u8; 3]>,
}

impl Painter<'_> {
    /// The pixels of row `y`.
    pub fn row(&mut self, y: u32) -> &[[u8; 3]] {
        let across = self.line.len();
        let at = CellWeights::new(y, &self.centers);
        for (column, color) in self.line.iter_mut().enumerate() {
            let cell = |row: usize| self.mosaic.colors[row * across + column];
            *color = mix(cell(at.first), cell(at.second), at.weight);
        }
        let mut row = self.row.as_mut_slice();
        for span in &self.spans {
            let (first, second) = (self.line[span.first], self.line[span.second]);
            let (pixels, rest) = row.split_at_mut(span.weights.len());
            for (pixel, weight) in pixels.iter_mut().zip(&span.weights) {
                let color = mix(first, second, *weight);
                *pixel = color.map(|part| ((part + WEIGHTS * WEIGHTS / 2) / (WEIGHTS * WEIGHTS)) as u8);
            }
            row = rest;
        }
        &self.row
    }
}

/// The two cells whose centres are around a pixel.
#[derive(Clone, Copy)]
struct CellWeights {
    first: usize,
    second: usize,
    /// The weight of the second, 0 to [`WEIGHTS`].
    weight: u32,
}

impl CellWeights {
    fn new(pixel: u32, centers: &[f32]) -> Self {
        let at = pixel as f32 + 0.5;
        let after = centers.partition_point(|center| *center <= at);
        let (first, second) = (after.saturating_sub(1), after.min(centers.len() - 1));
        let span = centers[second] - centers[first];
        let share = if span > 0.0 {
            (at - centers[first]) / span
        } else {
            0.0
        };
        Self {
            first,
            second,
            weight: (WEIGHTS as f32 * share + 0.5) as u32,
        }
    }
}

/// Neighbouring pixels between the centres of the same two cells.
struct CellSpan {
    first: usize,
    second: usize,
    /// Each pixel's weight of the second cell, 0 to [`WEIGHTS`].
    weights: Vec<u32>,
}

fn spans(pixels: Range<u32>, centers: &[f32]) -> Vec<CellSpan> {
    let mut spans: Vec<CellSpan> = Vec::new();
    for pixel in pixels {
        let at = CellWeights::new(pixel, centers);
        match spans.last_mut() {
            Some(span) if span.first == at.first && span.second == at.second => span.weights.push(at.weight),
            _ => spans.push(CellSpan {
                first: at.first,
                second: at.second,
                weights: vec![at.weight],
            }),
        }
    }
    spans
}

/// Two colours mixed, times [`WEIGHTS`].
fn mix(a: Color, b: Color, weight: u32) -> Color {
    [0, 1, 2].map(|part| (WEIGHTS - weight) * a[part] + weight * b[part])
}

/// Cuts a span into cells of at least `cell` pixels, or one if it is shorter.
fn borders(start: u32, length: u32, cell: u32) -> Vec<u32> {
    let count = (length / cell).max(1);
    let border = |i: u32| start + (u64::from(i) * u64::from(length) / u64::from(count)) as u32;
    (0..=count).map(border).collect()
}

fn centers(borders: &[u32]) -> Vec<f32> {
    borders
        .windows(2)
        .map(|cell| (cell[0] as f32 + cell[1] as f32) / 2.0)
        .collect()
}

/// Sum of the colours of pixels.
#[derive(Clone, Copy, Default)]
struct Sum {
    parts: [u64; 3],
    pixels: u64,
}

impl Sum {
    fn add(&mut self, pixels: &[u8]) {
        let (pixels, _) = pixels.as_chunks::<3>();
        self.pixels += pixels.len() as u64;
        // The sum fits 32 bits.
        for pixels in pixels.chunks(1 << 20) {
            let mut parts = [0u32; 3];
            for pixel in pixels {
                for (sum, part) in parts.iter_mut().zip(pixel) {
                    *sum += u32::from(*part);
                }
            }
            for (sum, part) in self.parts.iter_mut().zip(parts) {
                *sum += u64::from(part);
            }
        }
    }

    /// The mean in whole levels, so that at most 8 bits per channel remain.
    fn mean(self) -> Color {
        let pixels = self.pixels.max(1);
        self.parts.map(|sum| ((sum + pixels / 2) / pixels) as u32)
    }
}

/// The mean colour of each cell: of its pixels inside the shape if these are at least half of them, otherwise of the
/// pixels outside.
fn means(pixels: &[u8], width: u32, outline: &Outline, columns: &[u32], rows: &[u32]) -> Vec<Color> {
    let stride = 3 * width as usize;
    let mut means = Vec::with_capacity((columns.len() - 1) * (rows.len() - 1));
    for rows in rows.windows(2) {
        let mut sums = vec![(Sum::default(), Sum::default()); columns.len() - 1];
        for y in rows[0]..rows[1] {
            let row = &pixels[stride * y as usize..][..stride];
            let span = |from: u32, to: u32| &row[3 * from as usize..3 * to as usize];
            let shape = outline.inside(y);
            for ((inside, outside), cell) in sums.iter_mut().zip(columns.windows(2)) {
                let from = shape.start.clamp(cell[0], cell[1]);
                let to = shape.end.clamp(from, cell[1]);
                outside.add(span(cell[0], from));
                inside.add(span(from, to));
                outside.add(span(to, cell[1]));
            }
        }
        means.extend(sums.iter().map(|(inside, outside)| {
            if inside.pixels >= outside.pixels {
                inside.mean()
            } else {
                outside.mean()
            }
        }));
    }
    means
}

/// Each colour, mixed with those of the neighbouring cells, weighted 1-2-1 each way.
fn blurred(colors: &[Color], across: usize) -> Vec<Color> {
    let down = colors.len() / across;
    let near = |i: usize, count: usize| [(i.saturating_sub(1), 1), (i, 2), ((i + 1).min(count - 1), 1)];
    let blur = |cell: usize| {
        let mut sum = [8; 3];
        for (row, vertical) in near(cell / across, down) {
            for (column, horizontal) in near(cell % across, across) {
                for (sum, part) in sum.iter_mut().zip(colors[row * across + column]) {
                    *sum += vertical * horizontal * part;
                }
            }
        }
        sum.map(|sum| sum / 16)
    };
    (0..colors.len()).map(blur).collect()
}
