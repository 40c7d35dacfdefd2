//! Makes parts of a picture unrecognisable, irreversibly. It works on a buffer of pixels, without I/O.
//!
//! Each detected object is a separate [`Region`]: a shape, filled with a mosaic whose cells follow from the object's size.
//! Neighbours stay apart, so a viewer still sees how many people there are and what they do.
//!
//! It cannot be undone: a region's pixels are first reduced to the mean colours of its cells, and only these means are
//! painted inside the shape. A cell that lies less than half inside the shape takes the mean of its pixels outside, so
//! each colour stands for at least half a cell. A blur alone is not enough: it is a linear filter, and its inverse
//! restores everything except rounding errors.
//!
//! Where regions overlap, the coarser one counts. Regions are first filled with their cells' colours, from the finest cell
//! to the coarsest: a region's means are means of finer cells, so they reveal no more than these. Then they are painted in
//! the same order. A finer region's cells across the coarser one's outline are means of the picture on both sides of it.
//! Solid regions come last.

use crate::{Class, ClassGroup};
mod mosaic;
mod outline;
mod region;
#[cfg(test)]
mod tests;

use self::{mosaic::Mosaic, outline::Outline};
pub use region::{CORNER_RADIUS, MIN_CELL, PixelRect, Region, Shape};

/// How a region is obscured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, strum::Display, strum::EnumString)]
#[strum(serialize_all = "lowercase", parse_err_ty = UnknownObscureMode, parse_err_fn = unknown_mode)]
pub enum ObscureMode {
    /// The cells' mean colours, interpolated between the cells' centres.
    #[default]
    Mosaic,
    /// The same means, blurred over three cells each way, which looks softer.
    Blur,
    /// One grey; only the outline stays visible.
    Solid,
}

/// Number of coarser regions that are compared with each region, to skip it if one of them covers it. More comparisons
/// would cost more than painting.
const COMPARED: usize = 64;

/// The text is not a mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("modes are mosaic, blur, solid")]
pub struct UnknownObscureMode;

const fn unknown_mode(_: &str) -> UnknownObscureMode {
    UnknownObscureMode
}

/// The mode of each kind of object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObscureModes {
    /// Whole people.
    pub person: ObscureMode,
    /// Faces.
    pub face: ObscureMode,
    /// Vehicles, including bicycles.
    pub vehicle: ObscureMode,
}

impl ObscureModes {
    /// One mode for all objects.
    #[must_use]
    pub const fn uniform(mode: ObscureMode) -> Self {
        Self {
            person: mode,
            face: mode,
            vehicle: mode,
        }
    }

    /// The mode of a class.
    #[must_use]
    pub const fn for_class(self, class: Class) -> ObscureMode {
        match class.group() {
            ClassGroup::Person => self.person,
            ClassGroup::Face => self.face,
            ClassGroup::Vehicle => self.vehicle,
        }
    }
}

/// Obscures all regions of an RGB picture of `3 * width * height` bytes.
///
/// Replaces every pixel whose centre lies inside a region's shape. Outside it, a soft edge of half a cell mixes the
/// replacement with the picture. Other pixels do not change. Regions outside the picture are ignored. The order of
/// `regions` does not matter.
///
/// Takes time proportional to the sum of the regions' areas, and memory proportional to the sum of their cells.
pub fn obscure(pixels: &mut [u8], width: u32, height: u32, regions: &[Region]) {
    obscure_until(pixels, width, height, regions, || false);
}

/// Like [`obscure`], but ends when `is_stopped`, which is called before each region. Returns whether all regions are
/// obscured.
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
    regions.sort_by_key(|region| (region.mode == ObscureMode::Solid, region.cell(), *region));
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
        // Outwards to the end of the soft edge.
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
