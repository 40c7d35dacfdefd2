//! Times and durations, as typed.

use chrono::{
    DateTime, Days, FixedOffset, Local, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone, Utc,
};
use log_normalizer::Time;

/// The default `--since` of a search in OpenSearch.
pub const DEFAULT_SINCE: &str = "1h";

/// `--since all`: no start time.
pub const ALL: &str = "all";

#[must_use]
pub fn is_all(text: &str) -> bool {
    text.trim() == ALL
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    #[error(
        "{0:?} is not a time: write 15m, 3h or 2d (ago), now, today, yesterday, 14:00, \"yesterday 14:00\", \
         2026-11-22, \"2026-11-22 14:00:05\", 2026-11-22T14:00:05Z or 2026-11-22T14:00:05+02:00"
    )]
    Unread(String),
    /// No line can have this time.
    #[error("{0:?} is out of range: before 1970 or after 2261")]
    OutOfRange(String),
}

/// Which occurrence of an ambiguous local time, when the clock is set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// The first, for the start of a range.
    Begin,
    /// The last, for the end of a range.
    End,
}

/// The reference for relative times.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    now: DateTime<Utc>,
    utc: bool,
}

impl Clock {
    /// The system clock. Times of day are local, or UTC with `utc`.
    #[must_use]
    pub fn system(utc: bool) -> Self {
        Self { now: Utc::now(), utc }
    }

    /// A fixed time, in UTC.
    #[must_use]
    pub const fn at(now: DateTime<Utc>) -> Self {
        Self { now, utc: true }
    }

    #[must_use]
    pub fn now(&self) -> Time {
        Time::from_nanos(self.now.timestamp_nanos_opt().unwrap_or(i64::MAX))
    }

    /// Parses a time.
    ///
    /// # Errors
    /// [`TimeError`], also for a time before 1970 or after 2261.
    pub fn parse(&self, text: &str, edge: Edge) -> Result<Time, TimeError> {
        let typed = text.to_owned();
        let text = text.trim();
        let Some(time) = self.ago(text).or_else(|| self.absolute(text, edge)) else {
            return Err(TimeError::Unread(typed));
        };
        let nanos = time.timestamp_nanos_opt().filter(|nanos| *nanos >= 0);
        nanos.map(Time::from_nanos).ok_or(TimeError::OutOfRange(typed))
    }

    /// `15m`, `-3h`, `1h30m ago`: relative to now.
    fn ago(&self, text: &str) -> Option<DateTime<Utc>> {
        let text = text.strip_suffix("ago").map_or(text, str::trim_end);
        let length = parse_duration(text.strip_prefix('-').unwrap_or(text))?;
        self.now.checked_sub_signed(length)
    }

    fn absolute(&self, text: &str, edge: Edge) -> Option<DateTime<Utc>> {
        if text == "now" {
            return Some(self.now);
        }
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Some(time.to_utc());
        }
        let utc = self.utc.then(|| Utc.fix());
        let (text, offset) = match split_offset(text) {
            Some((text, offset)) => (text, Some(offset)),
            None => (text, utc),
        };
        let today = match offset {
            Some(offset) => self.now.with_timezone(&offset).date_naive(),
            None => self.now.with_timezone(&Local).date_naive(),
        };
        let (day, time) = match text.split_once([' ', 'T']) {
            Some((day, time)) => (parse_day(day, today)?, parse_time_of_day(time.trim())?),
            None => match parse_day(text, today) {
                Some(day) => (day, NaiveTime::MIN),
                None => (today, parse_time_of_day(text)?),
            },
        };
        let shown = day.and_time(time);
        match offset {
            Some(offset) => Some(offset.from_local_datetime(&shown).single()?.to_utc()),
            None => resolve_local(shown, edge),
        }
    }
}

/// Converts a local time.
fn resolve_local(shown: NaiveDateTime, edge: Edge) -> Option<DateTime<Utc>> {
    match Local.from_local_datetime(&shown) {
        chrono::LocalResult::Single(time) => Some(time.to_utc()),
        // chrono does not sort the two.
        chrono::LocalResult::Ambiguous(one, other) => Some(match edge {
            Edge::Begin => one.min(other).to_utc(),
            Edge::End => one.max(other).to_utc(),
        }),
        chrono::LocalResult::None => first_moment_after_gap(shown),
    }
}

/// The first moment after a local time that does not exist, because the clock was set forward.
fn first_moment_after_gap(shown: NaiveDateTime) -> Option<DateTime<Utc>> {
    // Zones are at most 14 hours from UTC, and clocks change by less than a day.
    let (mut before, mut after) = (-172_800, 172_800);
    let at = |seconds| Some(shown.checked_add_signed(TimeDelta::seconds(seconds))?.and_utc());
    while after - before > 1 {
        let middle = i64::midpoint(before, after);
        if at(middle)?.with_timezone(&Local).naive_local() < shown {
            before = middle;
        } else {
            after = middle;
        }
    }
    at(after)
}

/// Splits off an offset: `Z`, `UTC`, `GMT`, `+02:00`, `+0200` or `+02`.
fn split_offset(text: &str) -> Option<(&str, FixedOffset)> {
    for utc in ["Z", "UTC", "GMT"] {
        if let Some(time) = text.strip_suffix(utc) {
            return Some((time.trim_end(), Utc.fix()));
        }
    }
    let (time, offset) = text.split_at(text.rfind(['+', '-'])?);
    let time = time.trim_end();
    let (sign, digits) = match offset.strip_prefix('+') {
        Some(digits) => (1, digits),
        None => (-1, offset.strip_prefix('-')?),
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None => digits.split_at_checked(2)?,
    };
    let number = |text: &str, most: i32| {
        let is_whole = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|number| is_whole && *number <= most)
    };
    // A date contains hyphens, too: after a date, an offset needs minutes.
    let is_day = parse_day(time, NaiveDate::MIN).is_some();
    let minutes = match minutes {
        "" if is_day => return None,
        "" => 0,
        minutes => number(minutes, 59)?,
    };
    if !is_day && !time.contains(':') {
        return None;
    }
    let seconds = sign * (number(hours, 23)? * 60 + minutes) * 60;
    Some((time, FixedOffset::east_opt(seconds)?))
}

fn parse_day(text: &str, today: NaiveDate) -> Option<NaiveDate> {
    match text {
        "today" => Some(today),
        "yesterday" => today.checked_sub_days(Days::new(1)),
        _ => NaiveDate::parse_from_str(text, "%Y-%m-%d").ok(),
    }
}

/// Parses a duration: `500ms`, `90s`, `1.5s`, `404 µs`, `15m`, `1h30m`, `2d`, `1w`.
#[must_use]
pub fn parse_duration(text: &str) -> Option<TimeDelta> {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let mut sum = TimeDelta::zero();
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !is_number(c)).filter(|at| *at > 0)?;
        let (number, after) = rest.split_at(digits);
        let unit_end = after.find(is_number).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let nanoseconds: i64 = match unit.trim() {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" | "min" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            "w" => 604_800_000_000_000,
            _ => return None,
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let many = whole.parse::<i32>().ok()?;
        let length = TimeDelta::nanoseconds(nanoseconds).checked_mul(many)?;
        let part = format!("0.{part}").parse::<f64>().ok()? * nanoseconds as f64;
        sum = sum.checked_add(&length)?;
        sum = sum.checked_add(&TimeDelta::nanoseconds(part.round() as i64))?;
        rest = after;
    }
    Some(sum)
}

/// Accepts a decimal comma, which some programs log.
fn parse_time_of_day(text: &str) -> Option<NaiveTime> {
    let text = text.replace(',', ".");
    ["%H:%M", "%H:%M:%S%.f"]
        .into_iter()
        .find_map(|format| NaiveTime::parse_from_str(&text, format).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        let now = DateTime::parse_from_rfc3339("2026-11-22T10:30:00Z").unwrap();
        Clock::at(now.to_utc())
            .parse(text, Edge::Begin)
            .ok()
            .map(|time| time.to_string())
    }

    #[test]
    fn accepted_inputs() {
        for (typed, expected) in [
            ("15m", "2026-11-22T10:15:00.000000000Z"),
            ("-3h", "2026-11-22T07:30:00.000000000Z"),
            ("-5m", "2026-11-22T10:25:00.000000000Z"),
            ("1h30m", "2026-11-22T09:00:00.000000000Z"),
            ("2d ago", "2026-11-20T10:30:00.000000000Z"),
            ("now", "2026-11-22T10:30:00.000000000Z"),
            ("today", "2026-11-22T00:00:00.000000000Z"),
            ("yesterday", "2026-11-21T00:00:00.000000000Z"),
            ("yesterday 14:00", "2026-11-21T14:00:00.000000000Z"),
            ("09:05", "2026-11-22T09:05:00.000000000Z"),
            ("09:05:07.25", "2026-11-22T09:05:07.250000000Z"),
            ("2024-02-29", "2024-02-29T00:00:00.000000000Z"),
            ("2024-02-29 23:59:58", "2024-02-29T23:59:58.000000000Z"),
            ("2024-02-29T12:00:00+02:00", "2024-02-29T10:00:00.000000000Z"),
            ("2024-02-29t12:00:00z", "2024-02-29T12:00:00.000000000Z"),
            ("2024-02-29T12:00:00+0200", "2024-02-29T10:00:00.000000000Z"),
            ("2024-02-29T12:00+02", "2024-02-29T10:00:00.000000000Z"),
            ("2024-02-29 12:00:00.5 -05:30", "2024-02-29T17:30:00.500000000Z"),
            ("2024-02-29 12:00:00,5Z", "2024-02-29T12:00:00.500000000Z"),
            ("2024-02-29 12:00 UTC", "2024-02-29T12:00:00.000000000Z"),
            ("2024-02-29+02:00", "2024-02-28T22:00:00.000000000Z"),
            ("2024-02-29-0200", "2024-02-29T02:00:00.000000000Z"),
            // It is already 2026-11-23 in that zone.
            ("09:05+14:00", "2026-11-22T19:05:00.000000000Z"),
            ("yesterday 14:00 -0100", "2026-11-21T15:00:00.000000000Z"),
            ("today Z", "2026-11-22T00:00:00.000000000Z"),
        ] {
            assert_eq!(read(typed).as_deref(), Some(expected), "{typed}");
        }
    }

    #[test]
    fn invalid_times() {
        for typed in [
            "",
            "-",
            "15",
            "15x",
            "m",
            "2024-02-30",
            "25:00",
            "tomorrow",
            "999999999999999w",
            "1969-12-31",
            "9999-01-01",
            "é",
            "Z",
            "+02:00",
            "now+02:00",
            "12:00+",
            "12:00+2",
            "12:00+2:00",
            "12:00+24:00",
            "12:00+02:60",
            "12:00+02000",
            "12:00+é",
            "12:00 CET",
            "2026-11-22-22",
            "2026-11",
            "+5m",
        ] {
            assert_eq!(read(typed), None, "{typed}");
        }
        let error_text = |text: &str| {
            Clock::system(true)
                .parse(text, Edge::Begin)
                .unwrap_err()
                .to_string()
        };
        assert!(error_text("9999-01-01T00:00:00Z").ends_with("is out of range: before 1970 or after 2261"));
        assert!(error_text("9999-13-01").contains("is not a time"));
    }
}
