//! Levels for photos with hardly any contrast: at night, in fog, or against the light. A viewer can brighten the result,
//! so the detector must see brightened pixels, too.

use crate::picture::Picture;

/// Share of the lowest and of the highest values that is ignored, such as lamps and dead pixels.
const IGNORED: f64 = 0.005;

/// Photos whose values span at least this much are not changed. At a tenth of it, the networks miss people.
const SUFFICIENT: u8 = 128;

/// Photos in which [`MOST`] of the values span less than this, such as a dark site under a bright sky, are scanned twice:
/// unchanged, and with these values spread.
const NARROW: u8 = 64;
const MOST: f64 = 0.7;
/// All other values become this many of the lowest and of the highest levels.
const OTHERS: u8 = 24;

/// Number of pixels that are sampled.
const SAMPLES: usize = 1 << 20;

/// The new value of each value, 0 to 255.
pub(super) type Levels = [u8; 256];

/// The levels with which a photo is scanned, one after the other; `None` for the unchanged photo.
pub(super) fn for_picture(picture: &Picture) -> Vec<Option<Levels>> {
    let pixels = picture.pixels.as_chunks::<3>().0;
    let sampled = pixels.iter().step_by(pixels.len().div_ceil(SAMPLES).max(1));
    let counts = counts(sampled.flatten().copied());
    let (low, high) = range_of(&counts, IGNORED);
    if let Some(1..SUFFICIENT) = high.checked_sub(low) {
        return vec![Some(spread(low, high, 0))];
    }
    match narrowest(&counts) {
        (low, high) if low < high && high - low < NARROW => vec![None, Some(spread(low, high, OTHERS))],
        _ => vec![None],
    }
}

/// The lowest and the highest value, without the given share at each end.
pub(super) fn range(values: impl Iterator<Item = u8>, ignored: f64) -> (u8, u8) {
    range_of(&counts(values), ignored)
}

fn counts(values: impl Iterator<Item = u8>) -> [u64; 256] {
    let mut counts = [0; 256];
    for value in values {
        counts[usize::from(value)] += 1;
    }
    counts
}

fn range_of(counts: &[u64; 256], ignored: f64) -> (u8, u8) {
    let all: u64 = counts.iter().sum();
    let ignored = (all as f64 * ignored) as u64;
    let low = first_above(counts.iter(), ignored);
    let high = 255 - first_above(counts.iter().rev(), ignored);
    (low, high)
}

/// The narrowest range that holds [`MOST`] of the values.
fn narrowest(counts: &[u64; 256]) -> (u8, u8) {
    let most = (counts.iter().sum::<u64>() as f64 * MOST) as u64;
    let ranges = (0..=255u8).filter_map(|low| {
        let values = &counts[usize::from(low)..];
        let above = first_above(values.iter(), most);
        low.checked_add(above).map(|high| (low, high))
    });
    ranges.min_by_key(|(low, high)| high - low).unwrap_or((0, 255))
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

/// Levels that spread the values from `low` to `high` over all levels except the lowest and the highest `others`. These
/// show the values below `low` and above `high`.
fn spread(low: u8, high: u8, others: u8) -> Levels {
    // The value's place in `from`, as a level in `to`.
    let scaled = |value: u8, from: [u8; 2], to: [u8; 2]| {
        let span = u32::from(from[1].saturating_sub(from[0]).max(1));
        let above = u32::from(value.saturating_sub(from[0]));
        to[0] + (above * u32::from(to[1] - to[0]) / span) as u8
    };
    std::array::from_fn(|value| {
        let value = value as u8;
        match value {
            _ if value < low => scaled(value, [0, low], [0, others]),
            _ if value > high => scaled(value, [high, 255], [255 - others, 255]),
            _ => scaled(value, [low, high], [others, 255 - others]),
        }
    })
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
        let levels = for_picture(&grey((0..1000).map(|i| 10 + (i % 11) as u8).chain(lamps)));
        let [Some(levels)] = levels[..] else {
            panic!("{levels:?}")
        };
        assert_eq!(
            (levels[0], levels[10], levels[15], levels[20], levels[255]),
            (0, 0, 127, 255, 255)
        );
    }

    #[test]
    fn a_photo_with_contrast_stays_as_it_is() {
        assert_eq!(for_picture(&grey((0..=255).cycle().take(2000))), [None]);
    }

    #[test]
    fn a_dark_site_under_a_bright_sky_is_shown_twice_and_the_sky_keeps_some_levels() {
        let sky = (0..250).map(|i| 200 + (i % 50) as u8);
        let levels = for_picture(&grey((0..750).map(|i| 10 + (i % 11) as u8).chain(sky)));
        let [None, Some(levels)] = levels[..] else {
            panic!("{levels:?}")
        };
        assert_eq!((levels[10], levels[255]), (24, 255));
        assert!(levels[15].abs_diff(127) < 10);
        assert!(levels[200] > 231 && levels[200] < levels[249]);
        assert!(levels.is_sorted());
    }

    #[test]
    fn one_colour_stays_one_colour() {
        assert_eq!(for_picture(&grey(std::iter::repeat_n(77, 50))), [None]);
    }
}
