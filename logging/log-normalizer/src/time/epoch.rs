//! Times as a number since 1970.

use serde_json::Number;

use super::{NANOS_PER_SECOND, Time};

/// Nanoseconds of each unit: seconds, milliseconds, microseconds, nanoseconds.
const UNITS: [i64; 4] = [NANOS_PER_SECOND, 1_000_000, 1_000, 1];

/// The years 2001 to 2255. The ranges of different units do not overlap; smaller numbers count from the start of a
/// program.
pub(super) const SECONDS: std::ops::Range<i64> = 1_000_000_000..9_000_000_000;
const NANOS: std::ops::Range<i64> = SECONDS.start * NANOS_PER_SECOND..SECONDS.end * NANOS_PER_SECOND;

impl Time {
    /// Converts seconds since 1970, to the microsecond: a float has no more digits. None outside of 2001 to 2255.
    #[must_use]
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        if !(1e9..9e9).contains(&seconds) {
            return None;
        }
        let micros = ((seconds - seconds.floor()) * 1e6).round();
        #[expect(clippy::cast_possible_truncation, reason = "whole numbers far below 2^63")]
        let (seconds, micros) = (seconds.floor() as i64, micros as i64);
        Some(Self(seconds * NANOS_PER_SECOND + micros * 1_000))
    }

    /// Converts seconds, milliseconds, microseconds or nanoseconds since 1970; the size tells the unit. None outside
    /// of 2001 to 2255.
    #[must_use]
    pub fn from_epoch(number: &Number) -> Option<Self> {
        match number.as_i64() {
            Some(number) => from_whole(number),
            None if number.is_f64() => from_float(number.as_f64()?),
            None => None,
        }
    }
}

fn from_whole(number: i64) -> Option<Time> {
    let nanos = |unit: &i64| number.checked_mul(*unit).filter(|nanos| NANOS.contains(nanos));
    UNITS.iter().find_map(nanos).map(Time)
}

fn from_float(number: f64) -> Option<Time> {
    [1.0, 1e3, 1e6, 1e9]
        .iter()
        .find_map(|unit| Time::from_seconds(number / unit))
}

/// Parses a number in a text, `1700000000.5`.
pub(super) fn parse(text: &str) -> Option<Time> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !is_decimal || text.len() < 10 {
        return None;
    }
    match text.parse() {
        Ok(number) => from_whole(number),
        Err(_) => from_float(text.parse().ok()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_since_1970() {
        let read = |seconds| Time::from_seconds(seconds).map(|time| time.to_string());
        for (seconds, time) in [
            (1_795_342_799.123_456_7, Some("2026-11-22T10:19:59.123457000Z")),
            (1_795_342_799.0, Some("2026-11-22T10:19:59.000000000Z")),
            (1_795_342_799.999_999_8, Some("2026-11-22T10:20:00.000000000Z")),
            (1e9, Some("2001-09-09T01:46:40.000000000Z")),
            (999_999_999.9, None),
            (1_795_342_799_123.0, None),
            (9e9, None),
            (-1.0, None),
            (f64::NAN, None),
        ] {
            assert_eq!(read(seconds).as_deref(), time, "{seconds}");
        }
    }

    #[test]
    fn the_size_determines_the_unit() {
        for (number, fraction) in [
            ("1795342799", "000000000"),
            ("1795342799.5", "500000000"),
            ("1.795342799e9", "000000000"),
            ("1795342799123", "123000000"),
            ("1795342799123.25", "123250000"),
            ("1795342799123456", "123456000"),
            ("1795342799123456789", "123456789"),
        ] {
            let expected = Some(format!("2026-11-22T10:19:59.{fraction}Z"));
            let read: Number = serde_json::from_str(number).unwrap();
            assert_eq!(Time::from_epoch(&read).map(|time| time.to_string()), expected);
            if !number.contains('e') {
                assert_eq!(parse(number).map(|time| time.to_string()), expected, "{number}");
            }
        }
    }

    #[test]
    fn other_numbers_are_no_time() {
        for number in [
            "0",
            "-1795342799",
            "999999999",
            "9000000000",
            "99999999999",
            "9000000000000",
            "9223372036854775807",
            "18446744073709551615",
            "1e300",
        ] {
            let read: Number = serde_json::from_str(number).unwrap();
            assert_eq!(Time::from_epoch(&read), None, "{number}");
            assert_eq!(parse(number), None, "{number}");
        }
        for text in [
            "",
            ".",
            "1795342799.5.5",
            "1795342799s",
            "..........",
            "+1795342799",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
