//! Sizes and durations in the notation of people: `64MiB`, `30s`.

use std::time::Duration;

const SIZES: [(&str, u64); 4] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];
const DECIMAL_SIZES: [(&str, u64); 4] = [
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];
const TIMES_MS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Parses a size in bytes: a plain number, or one with `KiB`, `MiB`, `GiB`, `TiB` (or Kubernetes' `Ki`, `Mi`,
/// …), `kB`, `MB`, `GB`, `TB`.
#[must_use]
pub fn parse_bytes(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    if unit.is_empty() || unit == "B" {
        return Some(number);
    }
    let binary = SIZES.iter().find(|(name, _)| *name == unit || name[..2] == *unit);
    let (_, factor) = binary.or_else(|| {
        DECIMAL_SIZES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))
    })?;
    number.checked_mul(*factor)
}

/// Formats a size for [`parse_bytes`], in the largest binary unit that divides it.
#[must_use]
pub fn format_bytes(bytes: u64) -> String {
    SIZES
        .iter()
        .rev()
        .find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor))
        .map_or_else(
            || bytes.to_string(),
            |(name, factor)| format!("{}{name}", bytes / factor),
        )
}

/// Parses a duration: a whole number with `ms`, `s`, `m`, `h` or `d`.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    let (_, factor) = TIMES_MS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor).map(Duration::from_millis)
}

/// Formats a duration for [`parse_duration`], in the largest unit that divides it. Fractions of a millisecond
/// are cut off.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    TIMES_MS
        .iter()
        .find(|(_, factor)| ms >= *factor && ms.is_multiple_of(*factor))
        .map_or_else(
            || "0s".to_owned(),
            |(name, factor)| format!("{}{name}", ms / factor),
        )
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_and_decimal_units() {
        for (text, bytes) in [
            ("0", 0),
            ("1024", 1024),
            ("64MiB", 64 << 20),
            ("64 MiB", 64 << 20),
            ("512Mi", 512 << 20),
            ("2Gi", 2 << 30),
            ("100MB", 100_000_000),
            ("5KB", 5_000),
        ] {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5MiB", "1XiB", "99999999TiB", "1 2"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("30s"), Some(Duration::from_secs(30)));
        assert_eq!(parse_duration("10m"), Some(Duration::from_secs(600)));
        for text in ["30", "s", "1.5s", "30 seconds", "-1s", "99999999999999999d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn formatted_values_parse_back() {
        for bytes in [0, 1, 1023, 1024, 64 << 20, 100_000_000, u64::MAX] {
            assert_eq!(parse_bytes(&format_bytes(bytes)), Some(bytes));
        }
        for ms in [0, 1, 999, 1_000, 90_000, 3_600_000, 86_400_000] {
            let duration = Duration::from_millis(ms);
            assert_eq!(parse_duration(&format_duration(duration)), Some(duration));
        }
    }
}
