//! What the networks get to see of photos with hardly any contrast: taken at
//! night, in fog, or against the light. Whoever looks at the result can
//! brighten it; so the detector looks at brightened pixels, too.

use crate::picture::Picture;

/// Shares of the values below and above which nothing counts: lamps, dead
/// pixels.
const IGNORED: f64 = 0.005;

/// Photos whose values span at least this much are looked at as they are; the
/// networks were seen to lose people at a tenth of it.
const ENOUGH: u8 = 128;

/// So many pixels tell enough.
const SAMPLES: usize = 1 << 20;

/// What becomes of each value, 0 to 255.
pub(super) type Levels = [u8; 256];

/// The levels that spread a photo's values over the whole range; `None` where
/// they are spread enough.
pub(super) fn of(picture: &Picture) -> Option<Levels> {
    let mut counts = [0u64; 256];
    let pixels = picture.pixels.as_chunks::<3>().0;
    for value in pixels.iter().step_by(pixels.len().div_ceil(SAMPLES)).flatten() {
        counts[usize::from(*value)] += 1;
    }
    let all: u64 = counts.iter().sum();
    let ignored = (all as f64 * IGNORED) as u64;
    let low = first_above(counts.iter(), ignored);
    let high = 255 - first_above(counts.iter().rev(), ignored);
    spread(low, high)
}

/// The first value at which more than `ignored` have been counted.
fn first_above<'c>(counts: impl Iterator<Item = &'c u64>, ignored: u64) -> u8 {
    let mut sum = 0;
    let below = counts.take_while(|count| {
        sum += **count;
        sum <= ignored
    });
    u8::try_from(below.count()).unwrap_or(u8::MAX)
}

fn spread(low: u8, high: u8) -> Option<Levels> {
    let range = high
        .checked_sub(low)
        .filter(|range| (1..ENOUGH).contains(range))?;
    let mut levels = [0; 256];
    for (value, level) in (0u8..=255).zip(&mut levels) {
        let above = u32::from(value.clamp(low, high) - low);
        *level = (above * 255 / u32::from(range)) as u8;
    }
    Some(levels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(values: impl Iterator<Item = u8>) -> Picture {
        let pixels: Vec<u8> = values.flat_map(|value| [value; 3]).collect();
        Picture {
            width: (pixels.len() / 3) as u32,
            height: 1,
            pixels,
            grey: false,
            icc: None,
        }
    }

    #[test]
    fn a_dark_photo_is_spread_and_its_lamps_do_not_count() {
        let lamps = std::iter::repeat_n(255, 4);
        let levels = of(&grey((0..1000).map(|i| 10 + (i % 11) as u8).chain(lamps))).unwrap();
        assert_eq!(
            (levels[0], levels[10], levels[15], levels[20], levels[255]),
            (0, 0, 127, 255, 255)
        );
    }

    #[test]
    fn a_photo_with_contrast_stays_as_it_is() {
        assert_eq!(of(&grey((0..=255).cycle().take(2000))), None);
    }

    #[test]
    fn one_colour_stays_one_colour() {
        assert_eq!(of(&grey(std::iter::repeat_n(77, 50))), None);
    }
}
