//! Paints a grid of colours, blurred by one cell's width.
//!
//! A box blur as wide as a cell, over a mosaic, is the linear interpolation
//! between the cells' colours: so this is computed directly, and no buffer
//! beside the picture is needed. Cells that are not taken have no part in it.

use super::grid::{Color, Grid};

/// Between which two cells a pixel lies, and how far it is towards the second.
#[derive(Clone, Copy)]
struct Between {
    first: usize,
    second: usize,
    toward: f32,
}

/// A cell's colour times its weight, and the weight; both zero if not taken.
#[derive(Clone, Copy, Default)]
struct Weighted {
    color: Color,
    weight: f32,
}

/// Replaces all pixels of the grid's taken cells.
pub(super) fn paint(pixels: &mut [u8], width: u32, grid: &Grid, colors: &[Color]) {
    let stride = 3 * width as usize;
    let across = grid.across();
    let horizontal = positions(&grid.columns);
    let vertical = positions(&grid.rows);
    let mut line_colors = vec![Weighted::default(); across];
    let mut row = 0;
    for (y, at) in (grid.rows[0]..).zip(vertical) {
        while y >= grid.rows[row + 1] {
            row += 1;
        }
        for (column, mixed) in line_colors.iter_mut().enumerate() {
            *mixed = mix(
                weighted(grid, colors, at.first * across + column),
                weighted(grid, colors, at.second * across + column),
                at.toward,
            );
        }
        let line = &mut pixels[y as usize * stride..][..stride];
        for (column, ends) in grid.columns.windows(2).enumerate() {
            if !grid.taken[row * across + column] {
                continue;
            }
            let (from, to) = (ends[0] as usize, ends[1] as usize);
            let offset = grid.columns[0] as usize;
            let places = &horizontal[from - offset..to - offset];
            for (pixel, at) in line[3 * from..3 * to]
                .as_chunks_mut::<3>()
                .0
                .iter_mut()
                .zip(places)
            {
                let mixed = mix(line_colors[at.first], line_colors[at.second], at.toward);
                *pixel = mixed.color.map(|part| (part / mixed.weight + 0.5) as u8);
            }
        }
    }
}

fn weighted(grid: &Grid, colors: &[Color], cell: usize) -> Weighted {
    if grid.taken[cell] {
        Weighted {
            color: colors[cell],
            weight: 1.0,
        }
    } else {
        Weighted::default()
    }
}

fn mix(a: Weighted, b: Weighted, toward: f32) -> Weighted {
    let near = 1.0 - toward;
    Weighted {
        color: [
            near * a.color[0] + toward * b.color[0],
            near * a.color[1] + toward * b.color[1],
            near * a.color[2] + toward * b.color[2],
        ],
        weight: near * a.weight + toward * b.weight,
    }
}

/// For each pixel from the first line to the last: its place between the
/// centres of cells.
fn positions(lines: &[u32]) -> Vec<Between> {
    let centers: Vec<f32> = lines.windows(2).map(|l| (l[0] + l[1]) as f32 / 2.0).collect();
    let mut places = Vec::new();
    for (cell, ends) in lines.windows(2).enumerate() {
        for pixel in ends[0]..ends[1] {
            let at = pixel as f32 + 0.5;
            let first = if at < centers[cell] {
                cell.saturating_sub(1)
            } else {
                cell
            };
            let second = (first + 1).min(centers.len() - 1);
            let span = centers[second] - centers[first];
            let toward = if span > 0.0 {
                ((at - centers[first]) / span).clamp(0.0, 1.0)
            } else {
                0.0
            };
            places.push(Between {
                first,
                second,
                toward,
            });
        }
    }
    places
}
