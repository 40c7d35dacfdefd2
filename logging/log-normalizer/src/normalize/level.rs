//! Converts words and numbers of other programs to levels.

use schema::level::{DEBUG, ERROR, INFO, TRACE, WARN};

use crate::json::Value;

/// A position at which a word certainly means a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LevelPosition {
    /// As the first word of a line, in capitals or in brackets.
    LineStart,
    /// After a time, or in brackets.
    AfterTime,
    /// As the value of a member.
    Member,
}

use LevelPosition::{AfterTime, LineStart, Member};

/// Words in lower case, and the positions besides a member's value at which they mean a level.
///
/// java.util.logging's words are as in SLF4J's bridge. Winston's words between two levels count as the lower level.
const WORDS: [(&str, &str, LevelPosition); 44] = [
    ("info", INFO, LineStart),
    ("warn", WARN, LineStart),
    ("warning", WARN, LineStart),
    ("error", ERROR, LineStart),
    ("debug", DEBUG, LineStart),
    ("trace", TRACE, LineStart),
    ("fatal", ERROR, LineStart),
    ("notice", INFO, LineStart),
    ("err", ERROR, LineStart),
    ("critical", ERROR, LineStart),
    ("crit", ERROR, LineStart),
    ("panic", ERROR, LineStart),
    ("alert", ERROR, LineStart),
    ("emerg", ERROR, LineStart),
    ("emergency", ERROR, LineStart),
    ("information", INFO, LineStart),
    // Serilog, zerolog.
    ("inf", INFO, LineStart),
    ("wrn", WARN, LineStart),
    ("dbg", DEBUG, LineStart),
    ("trc", TRACE, LineStart),
    ("ftl", ERROR, LineStart),
    ("pnc", ERROR, LineStart),
    ("vrb", TRACE, LineStart),
    // java.util.logging.
    ("severe", ERROR, LineStart),
    ("finer", DEBUG, LineStart),
    ("finest", TRACE, LineStart),
    ("fine", DEBUG, AfterTime),
    ("config", INFO, AfterTime),
    // MySQL, Loguru, Serilog.
    ("note", INFO, AfterTime),
    ("success", INFO, AfterTime),
    ("verbose", DEBUG, AfterTime),
    // zap.
    ("dpanic", ERROR, AfterTime),
    // winston.
    ("http", DEBUG, Member),
    ("silly", TRACE, Member),
    // .NET's console.
    ("trce", TRACE, Member),
    ("dbug", DEBUG, Member),
    ("fail", ERROR, Member),
    // logrus.
    ("trac", TRACE, Member),
    ("debu", DEBUG, Member),
    ("erro", ERROR, Member),
    ("fata", ERROR, Member),
    ("pani", ERROR, Member),
    // log15.
    ("eror", ERROR, Member),
    // Cisco.
    ("informational", INFO, Member),
];

/// Levels of programs that write one letter.
const LETTERS: [(u8, &str); 9] = [
    (b'I', INFO),
    (b'N', INFO),
    (b'W', WARN),
    (b'E', ERROR),
    (b'F', ERROR),
    (b'C', ERROR),
    (b'D', DEBUG),
    (b'V', DEBUG),
    (b'T', TRACE),
];

/// The meaning of a member's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LevelScale {
    /// 10 to 60, in tens.
    Bunyan,
    /// 10 to 50, in tens.
    Python,
    /// 0 to 7 (RFC 5424).
    Syslog,
    /// 1 to 24.
    OpenTelemetry,
}

/// The level of a word at one position, in any case.
pub(super) fn from_word(word: &str, position: LevelPosition) -> Option<&'static str> {
    let word = without_offset(word);
    WORDS
        .into_iter()
        .find(|(known, _, least)| known.eq_ignore_ascii_case(word) && *least <= position)
        .map(|(_, level, _)| level)
}

/// A word without slog's distance from it, `ERROR+2`, and without a number of Apache or PostgreSQL, `DEBUG5`.
fn without_offset(word: &str) -> &str {
    let base = word.trim_end_matches(|c: char| c.is_ascii_digit());
    match word.len() - base.len() {
        0 => word,
        _ if base.ends_with(['+', '-']) => base.get(..base.len() - 1).unwrap_or(base),
        1 => base,
        _ => word,
    }
}

pub(super) fn from_letter(letter: u8) -> Option<&'static str> {
    let found = LETTERS
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(&letter));
    found.map(|(_, level)| *level)
}

/// The level of a member's value.
pub(super) fn from_value(value: &Value<'_>, scale: LevelScale) -> Option<&'static str> {
    match value {
        Value::String(text) => from_member_text(text.trim_ascii(), scale),
        Value::Number(number) => scale.level(number.as_i64()?),
        _ => None,
    }
}

/// The level of a number in the member `level`: that of bunyan and pino, or in GELF that of syslog.
#[must_use]
pub fn numeric_level(number: i64) -> Option<&'static str> {
    LevelScale::Bunyan.level(number)
}

fn from_member_text(text: &str, scale: LevelScale) -> Option<&'static str> {
    if let Some(level) = from_word(text, Member) {
        return Some(level);
    }
    match without_offset(text).as_bytes() {
        [letter] => from_letter(*letter),
        // journald writes numbers as texts.
        _ if scale == LevelScale::Syslog => scale.level(text.parse().ok()?),
        _ => None,
    }
}

impl LevelScale {
    pub(super) const fn level(self, number: i64) -> Option<&'static str> {
        Some(match (self, number) {
            (Self::Bunyan, 10..20) => TRACE,
            (Self::Bunyan, 20..30) | (Self::Python, 10..20) => DEBUG,
            (Self::Bunyan, 30..40) | (Self::Python, 20..30) => INFO,
            (Self::Bunyan, 40..50) | (Self::Python, 30..40) => WARN,
            (Self::Bunyan, 50..=60) | (Self::Python, 40..=50) => ERROR,
            (Self::Syslog, 0..=3) | (Self::OpenTelemetry, 17..=24) => ERROR,
            (Self::Syslog, 4) | (Self::OpenTelemetry, 13..=16) => WARN,
            (Self::Syslog, 5..=6) | (Self::OpenTelemetry, 9..=12) => INFO,
            (Self::Syslog, 7) | (Self::OpenTelemetry, 5..=8) => DEBUG,
            (Self::OpenTelemetry, 1..=4) => TRACE,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::json::{Arena, parse};

    #[test]
    fn words_in_any_case() {
        for (word, level) in [
            ("Warning", Some(WARN)),
            ("ERR", Some(ERROR)),
            ("notice", Some(INFO)),
            ("ERROR+2", Some(ERROR)),
            ("DEBUG-4", Some(DEBUG)),
            ("trace8", Some(TRACE)),
            ("DEBUG5", Some(DEBUG)),
        ] {
            assert_eq!(from_word(word, LineStart), level, "{word}");
        }
        for word in [
            "", "log", "errors", "warn ", "+2", "1", "http", "FINE", "ERROR404", "error+",
        ] {
            assert_eq!(from_word(word, LineStart), None, "{word}");
        }
        assert_eq!(from_word("FINE", AfterTime), Some(DEBUG));
        assert_eq!(from_word("http", AfterTime), None);
    }

    #[test]
    fn values_of_members() {
        for (value, scale, level) in [
            (json!("error "), LevelScale::Bunyan, Some(ERROR)),
            (json!("http"), LevelScale::Bunyan, Some(DEBUG)),
            (json!("W"), LevelScale::Bunyan, Some(WARN)),
            (json!("D2"), LevelScale::Bunyan, Some(DEBUG)),
            (json!(9), LevelScale::Bunyan, None),
            (json!(10), LevelScale::Bunyan, Some(TRACE)),
            (json!(35), LevelScale::Bunyan, Some(INFO)),
            (json!(60), LevelScale::Bunyan, Some(ERROR)),
            (json!(61), LevelScale::Bunyan, None),
            (json!("30"), LevelScale::Bunyan, None),
            (json!(30.5), LevelScale::Bunyan, None),
            (json!(30.0), LevelScale::Bunyan, None),
            (json!(30), LevelScale::Python, Some(WARN)),
            (json!("4"), LevelScale::Syslog, Some(WARN)),
            (json!(8), LevelScale::Syslog, None),
            (json!(-1), LevelScale::Syslog, None),
            (json!(17), LevelScale::OpenTelemetry, Some(ERROR)),
            (json!("off"), LevelScale::Bunyan, None),
            (json!(null), LevelScale::Bunyan, None),
        ] {
            let object = json!({ "value": value }).to_string();
            let arena = Arena::new();
            let parsed = parse(&object, &arena).unwrap();
            assert_eq!(from_value(parsed.get("value").unwrap(), scale), level, "{value}");
        }
    }
}
