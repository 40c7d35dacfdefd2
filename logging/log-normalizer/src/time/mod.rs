//! Parses the times of log lines.

mod epoch;
mod format;
mod zone;

use std::fmt;

use chrono::{DateTime, NaiveDate, SecondsFormat};

pub(crate) use self::format::Timestamp;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// The end of 2261.
const LAST: i64 = 9_214_646_400 * NANOS_PER_SECOND - 1;

/// A point in time in nanoseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Time {
    /// `nanos`: nanoseconds since the start of 1970.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the start of 1970.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Parses RFC 3339; a blank may separate date and time.
    ///
    /// Ignores digits beyond nanoseconds. None for a leap second, and outside of 1970 to 2261, close to the range of
    /// OpenSearch's `date_nanos`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (seconds, rest) = date_and_time(text.as_bytes())?;
        let (nanos, rest) = fraction(rest)?;
        Self::from_parts(seconds, nanos, offset_seconds(rest)?)
    }

    /// Parses a time as programs write it: RFC 3339, the formats and zones of other loggers, and numbers since 1970.
    ///
    /// None without a zone: the reader's zone is not the program's.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        if let Some(time) = Self::parse(text) {
            return Some(time);
        }
        let text = text.trim_ascii();
        match Timestamp::at_start(text.as_bytes()) {
            Some(found) if found.length == text.len() => found.time.filter(|_| found.has_zone),
            _ => epoch::parse(text),
        }
    }

    /// Parses a date without a zone as UTC. Most programs in containers write UTC; use it only if there is no other time.
    #[must_use]
    pub fn from_text_without_zone(text: &str) -> Option<Self> {
        let text = text.trim_ascii();
        let found = Timestamp::at_start(text.as_bytes())?;
        found
            .time
            .filter(|_| !found.has_zone && found.length == text.len())
    }

    /// Seconds since 1970 and nanoseconds of the second. None outside of 2001 to 2255: a smaller number is a duration.
    pub(crate) fn from_seconds_and_nanos(seconds: i64, nanos: i64) -> Option<Self> {
        let is_time = (0..NANOS_PER_SECOND).contains(&nanos) && epoch::SECONDS.contains(&seconds);
        is_time.then(|| Self::from_parts(seconds, nanos, 0))?
    }

    /// `seconds`: since 1970 by the clock of a zone that is `offset` seconds ahead of UTC.
    fn from_parts(seconds: i64, nanos: i64, offset: i64) -> Option<Self> {
        let seconds = seconds.checked_sub(offset)?;
        let nanos = seconds.checked_mul(NANOS_PER_SECOND)?.checked_add(nanos)?;
        (0..=LAST).contains(&nanos).then_some(Self(nanos))
    }
}

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

/// Seconds since 1970 as if it were UTC, and the rest.
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

/// Seconds by which the zone is ahead of UTC.
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
    fn all_formats_of_one_time() {
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
    fn other_formats() {
        let read = |text| Time::from_text(text).map(|time| time.to_string());
        for text in [
            "2026-11-22T10:49:43.101Z",
            "2026-11-22T12:49:43.101+0200",
            " 2026-11-22 10:49:43,101 UTC ",
            "1795344583101",
            "1795344583.101",
        ] {
            let time = Some("2026-11-22T10:49:43.101000000Z".to_owned());
            assert_eq!(read(text), time, "{text}");
        }
        for text in [
            "",
            "2026-11-22T10:49:43.101",
            "2026-11-22T10:49:43Z x",
            "17953445831",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn invalid_times() {
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
    fn times_outside_the_range_of_an_index_are_none() {
        assert_eq!(Time::parse("1970-01-01T00:00:00Z"), Some(Time(0)));
        assert_eq!(read("1969-12-31T23:59:59.999999999Z"), None);
        assert_eq!(read("1970-01-01T00:00:00+00:01"), None);
        assert!(read("2261-12-31T23:59:59.999999999Z").is_some());
        assert_eq!(read("2262-01-01T00:00:00Z"), None);
        assert_eq!(read("9999-12-31T23:59:59-23:59"), None);
    }
}
