//! The cells of the mosaic over one group of areas.

use super::Area;

/// A colour with parts of 0 to 255, red, green, blue.
pub(super) type Color = [f32; 3];

/// The grey of [`super::Mode::Solid`].
const GREY: Color = [128.0; 3];

/// Rows and columns of cells, and which of them belong to the group.
pub(super) struct Grid {
    /// Where columns begin, and where the last one ends; pixels.
    pub columns: Vec<u32>,
    /// Where rows begin, and where the last one ends; pixels.
    pub rows: Vec<u32>,
    /// Row by row: whether an area touches the cell.
    pub taken: Vec<bool>,
}

impl Grid {
    /// The grid over areas that lie inside the picture.
    pub fn around(areas: &[Area], width: u32, height: u32) -> Self {
        let cell = areas.iter().map(|area| area.cell()).max().unwrap_or(1);
        let left = areas.iter().map(|area| area.x).min().unwrap_or(0);
        let top = areas.iter().map(|area| area.y).min().unwrap_or(0);
        let right = areas.iter().map(|area| area.right()).max().unwrap_or(0);
        let bottom = areas.iter().map(|area| area.bottom()).max().unwrap_or(0);
        let columns = lines(left, right, cell, width);
        let rows = lines(top, bottom, cell, height);
        let across = columns.len() - 1;
        let mut taken = vec![false; across * (rows.len() - 1)];
        for area in areas {
            for row in touched(&rows, area.y, area.bottom()) {
                for column in touched(&columns, area.x, area.right()) {
                    taken[row * across + column] = true;
                }
            }
        }
        Self { columns, rows, taken }
    }

    /// Number of columns.
    pub fn across(&self) -> usize {
        self.columns.len() - 1
    }

    /// The mean colour of every cell that is taken; black for the others.
    pub fn means(&self, pixels: &[u8], width: u32) -> Vec<Color> {
        let stride = 3 * width as usize;
        let across = self.across();
        let mut means = Vec::with_capacity(self.taken.len());
        for (taken, rows) in self.taken.chunks(across).zip(self.rows.windows(2)) {
            let mut sums = vec![[0u64; 3]; across];
            for y in rows[0]..rows[1] {
                let line = &pixels[y as usize * stride..][..stride];
                for (column, sum) in sums.iter_mut().enumerate().filter(|(column, _)| taken[*column]) {
                    let (from, to) = (self.columns[column] as usize, self.columns[column + 1] as usize);
                    let mut part = [0u32; 3];
                    for [r, g, b] in line[3 * from..3 * to].as_chunks::<3>().0 {
                        part[0] += u32::from(*r);
                        part[1] += u32::from(*g);
                        part[2] += u32::from(*b);
                    }
                    for (sum, part) in sum.iter_mut().zip(part) {
                        *sum += u64::from(part);
                    }
                }
            }
            let height = u64::from(rows[1] - rows[0]);
            means.extend(sums.iter().zip(self.columns.windows(2)).map(|(sum, columns)| {
                let count = height * u64::from(columns[1] - columns[0]);
                // Whole levels, so that nothing finer than a colour of 8 bits
                // a channel is left of a cell.
                sum.map(|sum| ((sum + count / 2) / count) as f32)
            }));
        }
        means
    }

    /// Each cell's colour mixed with those of its neighbours that are taken,
    /// weighted 1-2-1 each way.
    pub fn softened(&self, colors: &[Color]) -> Vec<Color> {
        let (across, down) = (self.across(), self.rows.len() - 1);
        let near = |i: usize, count: usize| i.saturating_sub(1)..(i + 2).min(count);
        let mut soft = vec![[0.0; 3]; colors.len()];
        for row in 0..down {
            for column in (0..across).filter(|column| self.taken[row * across + column]) {
                let mut sum = [0.0; 3];
                let mut weights = 0.0;
                for y in near(row, down) {
                    for x in near(column, across).filter(|x| self.taken[y * across + x]) {
                        let side = |same: bool| if same { 2.0 } else { 1.0 };
                        let weight = side(y == row) * side(x == column);
                        weights += weight;
                        for (sum, part) in sum.iter_mut().zip(colors[y * across + x]) {
                            *sum += weight * part;
                        }
                    }
                }
                soft[row * across + column] = sum.map(|sum| sum / weights);
            }
        }
        soft
    }

    /// One grey for all.
    pub fn uniform(&self) -> Vec<Color> {
        vec![GREY; self.taken.len()]
    }
}

/// Cuts the span from `start` to `end`, in a picture side of `limit` pixels,
/// into cells of `cell` pixels: no cell is smaller, unless the whole side is;
/// the span lies in the middle of the cells that cover it.
fn lines(start: u32, end: u32, cell: u32, limit: u32) -> Vec<u32> {
    let slack = (end - start).next_multiple_of(cell) - (end - start);
    let start = start.saturating_sub(slack / 2).min(limit.saturating_sub(cell));
    let room = ((limit - start) / cell).max(1);
    let count = (end - start).div_ceil(cell).clamp(1, room);
    let mut lines: Vec<u32> = (0..=count).map(|i| start + i * cell).collect();
    if count == room
        && let Some(last) = lines.last_mut()
    {
        *last = limit;
    }
    lines
}

/// The cells that a span from `start` to `end` touches.
fn touched(lines: &[u32], start: u32, end: u32) -> std::ops::Range<usize> {
    let cell_of = |pixel: u32| lines.partition_point(|&line| line <= pixel) - 1;
    let last = lines.len() - 2;
    cell_of(start)..cell_of(end - 1).min(last) + 1
}
