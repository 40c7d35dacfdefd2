//! Makes parts of a picture unrecognisable, irreversibly. Pure: works on a
//! buffer of pixels.
//!
//! Each detected object is a [`Region`] of its own: a shape, filled with a
//! mosaic whose cells follow from the object's size. Neighbours stay apart, so
//! a viewer still sees how many people there are and what they do.
//!
//! It cannot be undone: a region's pixels are first reduced to the mean
//! colours of its cells, and everything painted inside the shape is made of
//! these means. A cell that lies less than half inside the shape takes the mean
//! of its pixels outside, so no colour stands for less than half a cell.
//! A blur alone would not do: it is a linear filter, and a filter that inverts it
//! brings back what rounding left.
//!
//! Where regions overlap, the coarser one counts. Regions are first filled with
//! their cells' colours, from the finest cell to the coarsest: a region's means
//! are means of finer cells, so none of them tells more than these. Then they are
//! painted in the same order. A finer region's cells across the coarser one's outline
//! are means of the picture on both sides of it. Solid regions come last.

mod mosaic;
mod outline;
mod region;
#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr};

use contract::Class;

use self::{mosaic::Mosaic, outline::Outline};
pub use region::{CORNER_RADIUS, MIN_CELL, PixelRect, Region, Shape};

/// What a region looks like afterwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// The cells' mean colours, interpolated between the cells' centres.
    #[default]
    Mosaic,
    /// The same means, blurred over three cells each way: softer to look at.
    Blur,
    /// One grey: only the outline is left.
    Solid,
}

/// Coarser regions that are compared with each region, to skip it where one of them
/// covers it: as many as cost less than painting.
const COMPARED: usize = 64;

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

/// The mode of each kind of object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modes {
    /// Whole people.
    pub person: Mode,
    /// Faces.
    pub face: Mode,
    /// Vehicles, bicycles among them.
    pub vehicle: Mode,
}

impl Modes {
    /// One mode for all objects.
    #[must_use]
    pub const fn uniform(mode: Mode) -> Self {
        Self {
            person: mode,
            face: mode,
            vehicle: mode,
        }
    }

    /// The mode of a class.
    #[must_use]
    pub const fn for_class(self, class: Class) -> Mode {
        match class {
            Class::Person => self.person,
            Class::Face => self.face,
            Class::Bicycle | Class::Car | Class::Motorcycle | Class::Bus | Class::Truck => self.vehicle,
        }
    }
}

/// Obscures all regions of an RGB picture of `3 * width * height` bytes.
///
/// Every pixel whose centre lies inside a region's shape is replaced. Outside
/// it, a soft edge of half a cell mixes the replacement with the picture.
/// Other pixels stay as they are. Regions outside the picture are ignored.
/// The order of `regions` does not matter.
///
/// Takes time proportional to the sum of the regions' areas, and memory
/// proportional to the sum of their cells.
pub fn obscure(pixels: &mut [u8], width: u32, height: u32, regions: &[Region]) {
    obscure_until(pixels, width, height, regions, || false);
}

/// The same, until `is_stopped`, which is asked before each region. Returns whether
/// all regions are obscured.
pub fn obscure_until(
    pixels: &mut [u8],
    width: u32,
    height: u32,
    regions: &[Region],
    is_stopped: impl Fn() -> bool,
) -> bool {
    let mut regions: Vec<Region> = regions
        .iter()
        .filter_map(|region| region.clipped(width, height))
        .collect();
    regions.sort_by_key(|region| (region.mode == Mode::Solid, region.cell(), *region));
    let mut filled = Vec::with_capacity(regions.len());
    for region in &regions {
        if is_stopped() {
            return false;
        }
        let outline = Outline::new(region, width, height);
        let mosaic = Mosaic::new(pixels, width, region, &outline);
        mosaic.fill(pixels, width, &outline);
        filled.push((outline, mosaic));
    }
    for (i, (outline, mosaic)) in filled.iter().enumerate() {
        if is_stopped() {
            return false;
        }
        let mut coarser = filled[i + 1..].iter().rev().take(COMPARED);
        if !coarser.any(|(coarser, _)| coarser.covers(outline)) {
            paint(pixels, width, outline, mosaic);
        }
    }
    true
}

/// Replaces the pixels inside the outline, and mixes those of its soft edge.
fn paint(pixels: &mut [u8], width: u32, outline: &Outline, mosaic: &Mosaic) {
    let columns = outline.soft_columns();
    let mut painter = mosaic.painter(columns.clone());
    for y in outline.soft_rows() {
        let colors = painter.row(y);
        let row = &mut pixels[3 * width as usize * y as usize..][..3 * width as usize];
        let (row, _) = row[3 * columns.start as usize..3 * columns.end as usize].as_chunks_mut::<3>();
        let inside = outline.inside(y);
        let from = (inside.start - columns.start) as usize;
        let to = (inside.end - columns.start) as usize;
        row[from..to].copy_from_slice(&colors[from..to]);
        let coverage = outline.coverage(y);
        let mut soften = |at: usize| {
            let weight = (256.0 * coverage(columns.start + at as u32)) as u32;
            for (part, color) in row[at].iter_mut().zip(colors[at]) {
                *part = (((256 - weight) * u32::from(*part) + weight * u32::from(color) + 128) / 256) as u8;
            }
            weight > 0
        };
        // Outwards, as far as the soft edge goes.
        for at in (0..from).rev() {
            if !soften(at) {
                break;
            }
        }
        for at in to..columns.len() {
            if !soften(at) {
                break;
            }
        }
    }
}
