//! Points in time as log lines write them.

use std::fmt;

use chrono::{DateTime, NaiveDate, SecondsFormat};

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// The end of 2261.
const LAST: i64 = 9_214_646_400 * NANOS_PER_SECOND - 1;

/// A point in time in nanoseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Time {
    /// The point so many nanoseconds after the beginning of 1970.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the beginning of 1970.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Reads RFC 3339; date and time may be apart by a space.
    ///
    /// A fraction beyond nanoseconds is cut. None for anything else, for a
    /// leap second, and outside of 1970 to 2261: OpenSearch's `date_nanos`
    /// holds little more.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (seconds, rest) = date_and_time(text.as_bytes())?;
        let (nanos, rest) = fraction(rest)?;
        let seconds = seconds.checked_sub(offset_seconds(rest)?)?;
        let nanos = seconds.checked_mul(NANOS_PER_SECOND)?.checked_add(nanos)?;
        (0..=LAST).contains(&nanos).then_some(Self(nanos))
    }

    /// Reads seconds since 1970, to the microsecond: a float holds no more.
    ///
    /// None outside of 2001 to 2255: such numbers count something else.
    #[must_use]
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        if !SECONDS.contains(&seconds) {
            return None;
        }
        let micros = ((seconds - seconds.floor()) * 1e6).round();
        #[expect(clippy::cast_possible_truncation, reason = "whole numbers far below 2^63")]
        let (seconds, micros) = (seconds.floor() as i64, micros as i64);
        Some(Self(seconds * NANOS_PER_SECOND + micros * 1_000))
    }
}

/// Seconds since 1970 that a program writes as its time: from September 2001
/// to 2255. What is less counts from its start, what is more milliseconds.
const SECONDS: std::ops::Range<f64> = 1e9..9e9;

/// RFC 3339 in UTC with nine digits of fraction, `2026-11-22T10:49:43.101000000Z`.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = DateTime::from_timestamp_nanos(self.0).to_rfc3339_opts(SecondsFormat::Nanos, true);
        f.write_str(&text)
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Seconds since 1970 as if it were UTC, and what follows.
fn date_and_time(text: &[u8]) -> Option<(i64, &[u8])> {
    let (text, rest) = text.split_at_checked(19)?;
    let [
        y1,
        y2,
        y3,
        y4,
        b'-',
        m1,
        m2,
        b'-',
        d1,
        d2,
        b'T' | b't' | b' ',
        h1,
        h2,
        b':',
        i1,
        i2,
        b':',
        s1,
        s2,
    ] = *text
    else {
        return None;
    };
    let year = i32::try_from(number(&[y1, y2, y3, y4])?).ok()?;
    let date = NaiveDate::from_ymd_opt(year, number(&[m1, m2])?, number(&[d1, d2])?)?;
    let time = date.and_hms_opt(number(&[h1, h2])?, number(&[i1, i2])?, number(&[s1, s2])?)?;
    Some((time.and_utc().timestamp(), rest))
}

fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(digits) = text.strip_prefix(b".") else {
        return Some((0, text));
    };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = digits.split_at(length);
    let kept = number(digits.get(..length.min(9))?)?;
    let scale = 10_i64.pow(9_u32.saturating_sub(u32::try_from(length).ok()?));
    (length > 0).then_some((i64::from(kept) * scale, rest))
}

/// How far the zone is ahead of UTC.
fn offset_seconds(zone: &[u8]) -> Option<i64> {
    let (sign, h1, h2, m1, m2) = match *zone {
        [b'Z' | b'z'] => return Some(0),
        [sign, h1, h2, b':', m1, m2] => (sign, h1, h2, m1, m2),
        _ => return None,
    };
    let (hours, minutes) = (number(&[h1, h2])?, number(&[m1, m2])?);
    let ahead = i64::from(hours * 3600 + minutes * 60);
    match sign {
        _ if hours > 23 || minutes > 59 => None,
        b'+' => Some(ahead),
        b'-' => Some(-ahead),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        Time::parse(text).map(|time| time.to_string())
    }

    #[test]
    fn every_way_of_writing_one_point() {
        for text in [
            "2026-11-22T10:49:43.101Z",
            "2026-11-22t10:49:43.101z",
            "2026-11-22 10:49:43.101000+00:00",
            "2026-11-22T12:19:43.101+01:30",
            "2026-11-22T05:49:43.1010000009-05:00",
        ] {
            assert_eq!(
                read(text).as_deref(),
                Some("2026-11-22T10:49:43.101000000Z"),
                "{text}"
            );
        }
        assert_eq!(
            read("2026-11-22T10:49:43Z").as_deref(),
            Some("2026-11-22T10:49:43.000000000Z")
        );
    }

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
    fn what_is_no_time() {
        for text in [
            "",
            "2026-11-22",
            "2026-11-22T10:49:43",
            "2026-11-22T10:49:43.Z",
            "2026-11-22T10:49:60Z",
            "2026-02-29T00:00:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T10:49:43.1 UTC",
            "2026-11-22T10:49:43+0100",
            "2026-11-22T10:49:43+24:00",
            "2026-11-22T10:49:43Zx",
            "2026-11-22T1é:49:43Z",
            "+026-11-22T10:49:43Z",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn only_what_an_index_can_hold() {
        assert_eq!(Time::parse("1970-01-01T00:00:00Z"), Some(Time(0)));
        assert_eq!(read("1969-12-31T23:59:59.999999999Z"), None);
        assert_eq!(read("1970-01-01T00:00:00+00:01"), None);
        assert!(read("2261-12-31T23:59:59.999999999Z").is_some());
        assert_eq!(read("2262-01-01T00:00:00Z"), None);
        assert_eq!(read("9999-12-31T23:59:59-23:59"), None);
    }
}
