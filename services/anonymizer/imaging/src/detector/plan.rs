//! At which scales a photo is looked at.
//!
//! Two looks at every photo: a coarse one, in which whatever fills the photo is
//! small enough to be recognised, and a fine one for what is far away. The fine
//! one's scale follows from a budget of pixels, but never falls so low that a
//! person of 60 pixels could not be seen. `docs/detector.md` has the figures.

use super::{
    settings::{Effort, Scales},
    tiles::{self, Tile},
};

/// Beyond this, enlarging adds nothing.
const LARGEST_SCALE: f32 = 2.0;

/// A coarse look that would show hardly less than the fine one is left out.
const WORTHWHILE: f32 = 0.8;

/// One look at the whole photo, with both networks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pass {
    /// Pixels of the networks' input per pixel of the photo.
    pub scale: f32,
}

impl Pass {
    /// The photo's parts for this look.
    pub fn tiles(&self, width: u32, height: u32) -> Vec<Tile> {
        tiles::cut(width, height, self.scale)
    }
}

impl Effort {
    /// The budget that the effort stands for.
    #[must_use]
    pub const fn scales(self) -> Scales {
        match self {
            Self::Thorough => Scales {
                fine_megapixels: 3.2,
                least_scale: 0.5,
                coarse_megapixels: 0.15,
                turned_megapixels: 1.0,
                second_look_megapixels: 2.0,
                check_megapixels: 0.6,
            },
            Self::Balanced => Scales {
                fine_megapixels: 1.2,
                least_scale: 0.4,
                coarse_megapixels: 0.15,
                turned_megapixels: 0.3,
                second_look_megapixels: 0.6,
                check_megapixels: 0.15,
            },
            Self::Fast => Scales {
                fine_megapixels: 0.8,
                least_scale: 0.3,
                coarse_megapixels: 0.15,
                turned_megapixels: 0.15,
                second_look_megapixels: 0.3,
                check_megapixels: 0.1,
            },
        }
    }
}

/// The looks at a photo of this size.
pub(super) fn passes(width: u32, height: u32, scales: &Scales) -> Vec<Pass> {
    let least = scales.least_scale.min(LARGEST_SCALE);
    let budget = pixels(scales.fine_megapixels).max(tiles::cost(width, height, least));
    let fine = largest_scale(width, height, LARGEST_SCALE, budget).max(least);
    let coarse = largest_scale(width, height, 1.0, pixels(scales.coarse_megapixels));
    let mut passes = vec![Pass { scale: fine }];
    if coarse > 0.0 && coarse < WORTHWHILE * fine {
        passes.push(Pass { scale: coarse });
    }
    passes
}

/// The look that tells how the photo hangs; `None` where none is wanted.
pub(super) fn turned(width: u32, height: u32, scales: &Scales) -> Option<Pass> {
    within(width, height, scales.turned_megapixels)
}

/// The look at the obscured photo; `None` where none is wanted.
pub(super) fn check(width: u32, height: u32, scales: &Scales) -> Option<Pass> {
    within(width, height, scales.check_megapixels)
}

/// The largest look within a budget of megapixels that does not enlarge the photo.
fn within(width: u32, height: u32, megapixels: f32) -> Option<Pass> {
    let scale = largest_scale(width, height, 1.0, pixels(megapixels));
    (scale > 0.0).then_some(Pass { scale })
}

fn pixels(megapixels: f32) -> u64 {
    (f64::from(megapixels) * 1e6) as u64
}

/// The largest scale up to `limit` at which the photo costs no more than
/// `budget` pixels of input; 0 where none does.
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
    fn whatever_fills_the_photo_is_small_in_the_coarse_look() {
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
    fn the_budget_is_kept_wherever_the_least_scale_allows() {
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
    fn the_smallest_photo_is_looked_at_too() {
        assert_eq!(scales_of(1, 1), [2.0, 1.0]);
        assert!(!scales_of(1, 65_535).is_empty());
    }
}
