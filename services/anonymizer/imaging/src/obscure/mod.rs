//! Makes parts of a picture unrecognisable, beyond recall. Pure: works on a
//! buffer of pixels, touches nothing outside the areas' cells.
//!
//! Why the way back is closed: each cell of the mosaic is replaced by one
//! colour, its mean, before anything else happens; all later steps see these
//! means and no pixel of the original. What remains of an area is thus at most
//! [`CELLS_ACROSS`] × (long side / cell) colours. A blur alone, however wide, would
//! not do: it is a linear filter, whose inverse brings back what rounding left.

mod blend;
mod grid;
mod merge;
#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr};

use grid::Grid;

/// How many cells of the mosaic an area's short side is cut into at most.
pub const CELLS_ACROSS: u32 = 8;

/// The side of the smallest cell, pixels. Areas of small heads would
/// otherwise keep cells of two or three pixels, which show them well enough.
pub const MIN_CELL: u32 = 8;

/// A rectangle of pixels; parts outside the picture are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

impl Area {
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

    const fn right(self) -> u32 {
        self.x + self.width
    }

    const fn bottom(self) -> u32 {
        self.y + self.height
    }

    const fn overlaps(self, other: Self) -> bool {
        self.x < other.right() && other.x < self.right() && self.y < other.bottom() && other.y < self.bottom()
    }

    /// The cell that this area asks for, pixels.
    fn cell(self) -> u32 {
        self.width.min(self.height).div_ceil(CELLS_ACROSS).max(MIN_CELL)
    }
}

/// What areas look like afterwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// A coarse mosaic, then a blur of the mosaic.
    #[default]
    Mosaic,
    /// The same means, blurred over three cells each way: softer to look at,
    /// and nothing more of the original in it.
    Blur,
    /// One grey: nothing but the areas' outlines is left.
    Solid,
}

/// The text names no mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("modes are mosaic, blur, solid")]
pub struct UnknownMode;

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(name: &str) -> Result<Self, UnknownMode> {
        match name {
            "mosaic" => Ok(Self::Mosaic),
            "blur" => Ok(Self::Blur),
            "solid" => Ok(Self::Solid),
            _ => Err(UnknownMode),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mosaic => "mosaic",
            Self::Blur => "blur",
            Self::Solid => "solid",
        })
    }
}

/// Replaces every pixel of every area, in an RGB picture of `3 * width *
/// height` bytes.
///
/// Areas that overlap are merged and share one grid of cells, as coarse as
/// the coarsest of them asks for; an area grows to the whole cells that it
/// touches. Pixels outside these cells stay as they are.
pub fn obscure(pixels: &mut [u8], width: u32, height: u32, areas: &[Area], mode: Mode) {
    let inside: Vec<Area> = areas
        .iter()
        .filter_map(|area| area.clipped(width, height))
        .collect();
    for group in merge::overlapping(&inside) {
        let grid = Grid::around(&group, width, height);
        match mode {
            Mode::Mosaic => blend::paint(pixels, width, &grid, &grid.means(pixels, width)),
            Mode::Blur => {
                let means = grid.softened(&grid.means(pixels, width));
                blend::paint(pixels, width, &grid, &means);
            }
            Mode::Solid => blend::paint(pixels, width, &grid, &grid.uniform()),
        }
    }
}
