//! Finds a date and a clock at the start of a text.

use chrono::NaiveDate;

use super::{NANOS_PER_SECOND, Time, number, zone};

/// Dates and clocks that programs write, frequent ones first. Each letter is one part; other bytes stand for
/// themselves. Numeric dates with the day first or a two-digit year are missing: they are ambiguous.
///
/// `Y` year, `m` month, `d` day, `H` hour, `M` minute: all digits. `S`: seconds, with a fraction after `.` or `,`.
/// `b`: month name. `a`: name of the weekday. `e`, `I`: day and hour of one or two digits, also padded with a blank.
/// `p`: AM or PM. `T`: `T`, `t` or a blank.
const FORMATS: [&[u8]; 14] = [
    // ISO 8601 and RFC 3339, most loggers.
    b"Y-m-dTH:M:S",
    // Go's log, nginx's errors.
    b"Y/m/dTH:M:S",
    // ClickHouse.
    b"Y.m.dTH:M:S",
    // Access logs of Apache and nginx.
    b"d/b/Y:H:M:S",
    // Tomcat, PHP-FPM.
    b"d-b-Y H:M:S",
    // Apache's errors, C's ctime.
    b"a b e H:M:S Y",
    // HTTP and mail dates.
    b"a, e b Y H:M:S",
    // Redis.
    b"e b Y H:M:S",
    // java.util.logging.
    b"b e, Y I:M:S p",
    // ISO 8601 without separators.
    b"YmdTH:M:S",
    b"YmdTHMS",
    // Syslog: no year.
    b"b e H:M:S",
    // Clocks: no date.
    b"H:M:S",
    b"I:Mp",
];

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

const WEEKDAYS: [&[u8; 3]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];

/// A date with a clock, or only a clock, at the start of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timestamp {
    /// None without a year, with an ambiguous zone, or for a date that does not exist. UTC without a zone.
    pub(crate) time: Option<Time>,
    pub(crate) has_zone: bool,
    /// Length in bytes, with the zone.
    pub(crate) length: usize,
}

impl Timestamp {
    pub(crate) fn at_start(text: &[u8]) -> Option<Self> {
        let first = text.first()?;
        if !first.is_ascii_digit() && !first.is_ascii_uppercase() {
            return None;
        }
        FORMATS.iter().find_map(|format| Self::parse(text, format))
    }

    fn parse(text: &[u8], format: &[u8]) -> Option<Self> {
        let mut parts = Parts::default();
        let mut rest = text;
        for code in format {
            rest = parts.take(*code, rest)?;
        }
        let (offset, rest) = match zone::at_start(rest) {
            Some((offset, length)) => (Some(offset), rest.get(length..)?),
            None => (None, rest),
        };
        let ends = match rest.first() {
            None => true,
            // More of an address or a duration.
            Some(b':') => parts.year.is_some(),
            Some(byte) => !byte.is_ascii_alphanumeric(),
        };
        let time = |offset| Time::from_parts(parts.seconds()?, parts.nanos, offset);
        ends.then(|| Self {
            time: match offset {
                Some(offset) => time(offset),
                None if zone::is_unknown(rest) => None,
                None => time(0),
            },
            has_zone: offset.is_some(),
            length: text.len() - rest.len(),
        })
    }
}

#[derive(Default)]
struct Parts {
    year: Option<u32>,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    nanos: i64,
}

impl Parts {
    /// Reads the part for a code of [`FORMATS`]; returns the rest.
    fn take<'a>(&mut self, code: u8, text: &'a [u8]) -> Option<&'a [u8]> {
        let (value, rest) = match code {
            b'Y' => digits(text, 4)?,
            b'm' | b'd' | b'H' | b'M' | b'S' => digits(text, 2)?,
            b'e' | b'I' => match text {
                [b' ', rest @ ..] => digits(rest, 1)?,
                _ => digits(text, 2).or_else(|| digits(text, 1))?,
            },
            b'b' => name(text, &MONTHS)?,
            b'a' => name(text, &WEEKDAYS)?,
            b'p' => match text {
                [b'A', b'M', rest @ ..] => (0, rest),
                [b'P', b'M', rest @ ..] => (12, rest),
                _ => return None,
            },
            b'T' => match text {
                [b'T' | b't' | b' ', rest @ ..] => (0, rest),
                _ => return None,
            },
            _ => return text.strip_prefix(&[code]),
        };
        match code {
            b'Y' => self.year = Some(value),
            b'm' => self.month = value,
            b'b' => self.month = value + 1,
            b'd' | b'e' => self.day = value,
            b'H' | b'I' => self.hour = value,
            b'M' => self.minute = value,
            b'p' => self.hour = self.hour % 12 + value,
            b'S' => {
                self.second = value;
                let (nanos, rest) = fraction(rest);
                self.nanos = nanos;
                return Some(rest);
            }
            _ => {}
        }
        Some(rest)
    }

    /// Seconds since 1970, as if it were UTC.
    fn seconds(&self) -> Option<i64> {
        let year = i32::try_from(self.year?).ok()?;
        let date = NaiveDate::from_ymd_opt(year, self.month, self.day)?;
        let time = date.and_hms_opt(self.hour, self.minute, self.second)?;
        Some(time.and_utc().timestamp())
    }
}

fn digits(text: &[u8], count: usize) -> Option<(u32, &[u8])> {
    let (digits, rest) = text.split_at_checked(count)?;
    Some((number(digits)?, rest))
}

/// The index of the name at the start.
fn name<'a>(text: &'a [u8], names: &[&[u8; 3]]) -> Option<(u32, &'a [u8])> {
    let (start, rest) = text.split_first_chunk()?;
    let index = names.iter().position(|name| *name == start)?;
    Some((u32::try_from(index).ok()?, rest))
}

/// Nanoseconds of `.123` or `,123`, cut after nine digits; 0 without a fraction.
fn fraction(text: &[u8]) -> (i64, &[u8]) {
    let [b'.' | b',', digits @ ..] = text else {
        return (0, text);
    };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 {
        return (0, text);
    }
    let (fraction, rest) = digits.split_at(length);
    let padded = fraction.iter().copied().chain(std::iter::repeat(b'0'));
    let nanos = padded
        .take(9)
        .fold(0, |nanos, digit| nanos * 10 + i64::from(digit - b'0'));
    debug_assert!(nanos < NANOS_PER_SECOND);
    (nanos, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The time and what follows the timestamp.
    fn read(text: &str) -> Option<(Option<String>, &str)> {
        let found = Timestamp::at_start(text.as_bytes())?;
        Some((found.time.map(|time| time.to_string()), &text[found.length..]))
    }

    #[test]
    fn dates_with_a_zone_are_times() {
        for text in [
            "2026-11-22T10:49:43.101Z x",
            "2026-11-22 10:49:43,101 UTC x",
            "2026-11-22 12:49:43.101 +0200 x",
            "2026-11-22 11:49:43.101+01 x",
            "2026/11/22 10:49:43.101 +00:00 x",
            "2026.11.22 10:49:43.101 UTC x",
            "22/Nov/2026:10:49:43.101 +0000 x",
            "22-Nov-2026 10:49:43.101 UTC x",
            "Sun Nov 22 10:49:43.101 2026 UTC x",
            "Sun, 22 Nov 2026 10:49:43.101 GMT x",
            "22 Nov 2026 10:49:43.101 GMT x",
            "Nov 22, 2026 10:49:43.101 AM GMT x",
            "20261122 10:49:43.101Z x",
            "20261122T104943.101Z x",
        ] {
            let time = Some("2026-11-22T10:49:43.101000000Z".to_owned());
            assert_eq!(read(text), Some((time, " x")), "{text}");
        }
    }

    #[test]
    fn without_a_year_there_is_no_time() {
        for text in [
            "Nov  2 10:49:43",
            "Nov 22 10:49:43",
            "10:49:43.101",
            "3:04PM",
            "2026-02-30T10:49:43Z",
            "2026-11-22T25:49:43Z",
            "1969-11-22T10:49:43Z",
            "9999-11-22T10:49:43Z",
        ] {
            assert_eq!(read(text).map(|(time, _)| time), Some(None), "{text}");
        }
        for zone in [
            " CST",
            " AST",
            " PM",
            " AM",
            "[Europe/Berlin]",
            " America/Lima",
            " GMT+2",
            " UTC+02:00",
            " +2:00",
        ] {
            let text = format!("2026-11-22 10:49:43{zone} x");
            let (time, _) = read(&text).unwrap();
            assert_eq!(time, None, "{text}");
        }
    }

    #[test]
    fn a_date_without_a_zone_is_utc() {
        for text in [
            "2026-11-22 10:49:43,101 x",
            "2026/11/22 10:49:43.101 x",
            "Nov 22, 2026 10:49:43.101 AM x",
            // The number may belong to the message.
            "2026-11-22 10:49:43.101 -10 degrees",
            "2026-11-22 10:49:43.101 GET /x",
            "2026-11-22 10:49:43.101 [main] x",
            "2026-11-22 10:49:43.101 app/worker x",
        ] {
            let found = Timestamp::at_start(text.as_bytes()).unwrap();
            assert!(!found.has_zone, "{text}");
            let time = found.time.map(|time| time.to_string());
            assert_eq!(time.as_deref(), Some("2026-11-22T10:49:43.101000000Z"), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_timestamp() {
        for text in [
            "",
            "2026-11-22",
            "2026-11-22X10:49:43",
            "2026-11-22T10:49:43Zx",
            "2026-11-2é T10:49:43Z",
            "11/22/2026 10:49:43",
            "22/11/2026 10:49:43",
            "26-11-22 10:49:43",
            "10:49:43:aa:bb:cc",
            "Nox 22 10:49:43",
            "10:49",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn noon_and_midnight() {
        for (text, clock) in [
            ("Nov 22, 2026 12:00:00 AM UTC", "00:00"),
            ("Nov 22, 2026 12:00:00 PM UTC", "12:00"),
            ("Nov 22, 2026 1:00:00 PM UTC", "13:00"),
        ] {
            let time = read(text).unwrap().0.unwrap();
            assert!(time.contains(clock), "{text}: {time}");
        }
    }
}
