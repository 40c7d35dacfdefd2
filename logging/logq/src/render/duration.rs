//! Formats durations.

use log_normalizer::Time;

const MICRO: i64 = 1_000;
const MILLI: i64 = 1_000 * MICRO;
const SECOND: i64 = 1_000 * MILLI;

/// Formats nanoseconds like [`format_duration`].
#[must_use]
pub fn format_nanos(nanos: i64) -> String {
    format_duration(Time::from_nanos(0), Time::from_nanos(nanos))
}

/// Formats the duration between two times with three digits: `96 µs`, `36.8 ms`, `1.84 s`, `5m07s`, `3h12m`, `2d03h`.
/// Negative if `to` is earlier. At most seven columns without the sign.
#[must_use]
pub fn format_duration(from: Time, to: Time) -> String {
    let nanos = to.nanos().saturating_sub(from.nanos());
    if nanos < 0 {
        return format!("-{}", format_duration(to, from));
    }
    // Round first, so that no unit shows 1000.
    if nanos < MILLI - MICRO / 2 {
        return match (nanos + MICRO / 2) / MICRO {
            0 => "0".to_owned(),
            micros => format!("{micros} µs"),
        };
    }
    if nanos < SECOND - MILLI / 2 {
        return format!("{} ms", digits(nanos as f64 / MILLI as f64));
    }
    if nanos < 100 * SECOND - SECOND / 20 {
        return format!("{} s", digits(nanos as f64 / SECOND as f64));
    }
    let seconds = (nanos + SECOND / 2) / SECOND;
    let (minutes, hours) = (seconds / 60, seconds / 3_600);
    match hours {
        0 => format!("{minutes}m{:02}s", seconds % 60),
        1..24 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{}d{:02}h", hours / 24, hours % 24),
    }
}

/// Formats three digits.
fn digits(number: f64) -> String {
    let places = match number {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{number:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        for (nanos, expected) in [
            (0, "0"),
            (499, "0"),
            (96_000, "96 µs"),
            (999_400, "999 µs"),
            (999_600, "1.00 ms"),
            (6_894_000, "6.89 ms"),
            (9_996_000, "10.0 ms"),
            (36_816_000, "36.8 ms"),
            (99_960_000, "100 ms"),
            (999_400_000, "999 ms"),
            (999_600_000, "1.00 s"),
            (1_838_000_000, "1.84 s"),
            (99_940_000_000, "99.9 s"),
            (99_960_000_000, "1m40s"),
            (307_000_000_000, "5m07s"),
            (3_599_600_000_000, "1h00m"),
            (11_520_000_000_000, "3h12m"),
            (183_600_000_000_000, "2d03h"),
        ] {
            let (from, to) = (Time::from_nanos(5), Time::from_nanos(5 + nanos));
            assert_eq!(format_duration(from, to), expected, "{nanos}");
            if nanos > 0 {
                assert_eq!(format_duration(to, from), format!("-{expected}"));
            }
        }
    }
}
