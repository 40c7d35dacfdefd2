//! The scales at which a photo is scanned.
//!
//! Every photo has two passes. In the coarse pass, an object that fills the photo is small enough for the networks.
//! The fine pass finds distant objects. Its scale follows from a budget of pixels, but a person of 60 pixels stays
//! visible. docs/detector.md has the figures.

use super::{
    settings::{Effort, Scales},
    tiles::{self, Tile},
};

/// Larger scales find no more objects.
const LARGEST_SCALE: f32 = 2.0;

/// The coarse pass is skipped if its scale is above this share of the fine one's.
const WORTHWHILE: f32 = 0.8;

/// One scan of the whole photo with both networks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pass {
    /// Pixels of the networks' input per pixel of the photo.
    pub scale: f32,
}

impl Pass {
    /// The tiles of this pass.
    pub fn tiles(&self, width: u32, height: u32) -> Vec<Tile> {
        tiles::cut(width, height, self.scale)
    }
}

impl Effort {
    /// The budgets of this effort.
    #[must_use]
    pub const fn scales(self) -> Scales {
        match self {
            Self::Thorough => Scales {
                fine_megapixels: 3.2,
                min_scale: 0.5,
                coarse_megapixels: 0.15,
                rotated_megapixels: 1.0,
                second_look_megapixels: 2.0,
                check_megapixels: 0.6,
            },
            Self::Balanced => Scales {
                fine_megapixels: 1.2,
                min_scale: 0.4,
                coarse_megapixels: 0.15,
                rotated_megapixels: 0.3,
                second_look_megapixels: 0.6,
                check_megapixels: 0.15,
            },
            Self::Fast => Scales {
                fine_megapixels: 0.8,
                min_scale: 0.3,
                coarse_megapixels: 0.15,
                rotated_megapixels: 0.15,
                second_look_megapixels: 0.3,
                check_megapixels: 0.1,
            },
        }
    }
}

/// The passes over a photo of this size.
pub(super) fn passes(width: u32, height: u32, scales: &Scales) -> Vec<Pass> {
    let least = scales.min_scale.min(LARGEST_SCALE);
    let budget = pixels(scales.fine_megapixels).max(tiles::cost(width, height, least));
    let fine = largest_scale(width, height, LARGEST_SCALE, budget).max(least);
    let coarse = largest_scale(width, height, 1.0, pixels(scales.coarse_megapixels));
    let mut passes = vec![Pass { scale: fine }];
    if coarse > 0.0 && coarse < WORTHWHILE * fine {
        passes.push(Pass { scale: coarse });
    }
    passes
}

/// The pass that finds the photo's rotation; `None` if it has no budget.
pub(super) fn rotated(width: u32, height: u32, scales: &Scales) -> Option<Pass> {
    within(width, height, scales.rotated_megapixels)
}

/// The pass over the obscured photo; `None` if it has no budget.
pub(super) fn check(width: u32, height: u32, scales: &Scales) -> Option<Pass> {
    within(width, height, scales.check_megapixels)
}

/// The largest pass within a budget of megapixels that does not enlarge the photo.
fn within(width: u32, height: u32, megapixels: f32) -> Option<Pass> {
    let scale = largest_scale(width, height, 1.0, pixels(megapixels));
    (scale > 0.0).then_some(Pass { scale })
}

fn pixels(megapixels: f32) -> u64 {
    (f64::from(megapixels) * 1e6) as u64
}

/// The largest scale up to `limit` at which the photo costs at most `budget` pixels of input; 0 if there is none.
fn largest_scale(width: u32, height: u32, limit: f32, budget: u64) -> f32 {
    tiles::filling(width, limit)
        .chain(tiles::filling(height, limit))
        .chain([limit])
        .filter(|scale| tiles::cost(width, height, *scale) <= budget)
        .fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scales_of(width: u32, height: u32) -> Vec<f32> {
        passes(width, height, &Effort::Balanced.scales())
            .iter()
            .map(|pass| (pass.scale * 100.0).round() / 100.0)
            .collect()
    }

    #[test]
    fn small_photos_are_enlarged_and_large_ones_reduced() {
        let fine = |width, height| scales_of(width, height)[0];
        assert!((fine(440, 293) - LARGEST_SCALE).abs() < f32::EPSILON);
        assert!(fine(768, 576) > 1.0);
        assert!(fine(2126, 1463) < 1.0);
        assert!((0.4..0.5).contains(&fine(6000, 4000)));
    }

    #[test]
    fn an_object_that_fills_the_photo_is_small_in_the_coarse_pass() {
        for (width, height) in [(768, 576), (2126, 1463), (6000, 4000)] {
            let coarse = scales_of(width, height)[1];
            assert!(coarse * width.max(height) as f32 <= 768.0);
        }
    }

    #[test]
    fn a_person_of_60_pixels_keeps_24_in_any_photo() {
        for (width, height) in [
            (1000, 1000),
            (4000, 4000),
            (10_000, 10_000),
            (60_000, 1000),
            (500, 65_000),
        ] {
            assert!(60.0 * scales_of(width, height)[0] >= 24.0);
        }
    }

    #[test]
    fn the_budget_is_not_exceeded_unless_the_minimum_scale_requires_it() {
        let scales = Effort::Balanced.scales();
        for (width, height) in [
            (300, 300),
            (1024, 768),
            (1920, 1080),
            (2126, 1463),
            (100, 3000),
            (8000, 400),
        ] {
            let fine = passes(width, height, &scales)[0];
            assert!(tiles::cost(width, height, fine.scale) <= pixels(scales.fine_megapixels));
        }
    }

    #[test]
    fn the_smallest_photo_is_scanned() {
        assert_eq!(scales_of(1, 1), [2.0, 1.0]);
        assert!(!scales_of(1, 65_535).is_empty());
    }
}
