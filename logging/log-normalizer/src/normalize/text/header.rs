//! The start of a text line: a time, then parts like a thread or a logger, then a level.

use super::{
    super::level::{LevelPosition, from_letter, from_word},
    TextStart,
};
use crate::{
    prefix::{digits, is_space},
    time::Timestamp,
};

/// Parts between a time and a level: thread, process, logger, file.
const MAX_PARTS: usize = 5;
const MAX_PART_BYTES: usize = 100;
/// Longest `host ident user` before the time of an access log.
const MAX_CLIENT_BYTES: usize = 300;
/// Maximum number of blanks before a level that is padded to the right.
const MAX_PADDING: usize = 4;

const BLANK: [char; 2] = [' ', '\t'];

/// Also returns the text after the time. `after_time`: whether a time was removed from the line's start.
pub(super) fn parse(line: &str, after_time: bool) -> (TextStart, &str) {
    let (time, rest) = match timestamp(line) {
        Some((timestamp, rest)) => (timestamp.time, Some(rest)),
        None => (None, after_time.then_some(line)),
    };
    if let Some(level) = rest.and_then(level_after) {
        let level = Some(level);
        return (TextStart { time, level }, rest.unwrap_or(line));
    }
    let Some((level, after)) = word_at_start(line) else {
        return (TextStart { time, level: None }, rest.unwrap_or(line));
    };
    // Django: `WARN 2026-11-22 10:49:43,101 …`.
    let time = time.or_else(|| timestamp(after.trim_start_matches([']', ' ', '\t', '|']))?.0.time);
    let level = Some(level);
    (TextStart { time, level }, after)
}

/// A time at the start, also in brackets, and the text after it.
fn timestamp(line: &str) -> Option<(Timestamp, &str)> {
    // Consul and Nomad begin with four blanks.
    let padding = line.len() - line.trim_start_matches(' ').len();
    let line = line.get(padding.min(MAX_PADDING)..)?;
    let line = after_process(line).unwrap_or(line);
    let (bracketed, text) = match line.strip_prefix('[') {
        Some(inner) => (true, inner),
        None => (false, line),
    };
    let timestamp = Timestamp::at_start(text.as_bytes())?;
    let rest = text.get(timestamp.length..)?;
    if !bracketed {
        return Some((timestamp, rest));
    }
    // `[time]…`, `[time LEVEL …]…` of env_logger, `[time: LEVEL/…]` of Celery.
    let rest = rest
        .strip_prefix(']')
        .or_else(|| rest.strip_prefix(": "))
        .or_else(|| rest.strip_prefix(' '))?;
    Some((timestamp, rest))
}

/// The text after the process of NATS: `[1] 2026/11/22 10:49:43.101234 [ERR] …`.
fn after_process(line: &str) -> Option<&str> {
    let inner = line.strip_prefix('[')?;
    let process = digits(inner);
    let rest = inner.get(process.len()..)?.strip_prefix("] ")?;
    (!process.is_empty()).then_some(rest)
}

/// The level after a time and other parts.
fn level_after(text: &str) -> Option<&'static str> {
    let mut rest = text;
    for _ in 0..MAX_PARTS {
        let separator = [" - ", " | "].into_iter().find(|found| rest.starts_with(found));
        // zap's console: `time\twarn\t…`.
        let (word, end) = split_word(rest.trim_start_matches('\t'));
        if rest.starts_with('\t') && end.starts_with('\t') {
            return from_word(word, LevelPosition::AfterTime);
        }
        rest = rest.trim_start_matches([' ', '\t', '|', '-']);
        if let Some(level) = word_after_time(rest) {
            return Some(level);
        }
        rest = past_part(rest, separator)?;
    }
    None
}

/// The text after one part between a time and a level. `separator`: what was before it.
fn past_part<'a>(text: &'a str, separator: Option<&str>) -> Option<&'a str> {
    let end = match text.as_bytes().first()? {
        b'[' => 1 + text.find(']')?,
        b'{' => 1 + text.find('}')?,
        byte if byte.is_ascii_digit() => {
            let digits = digits(text).len();
            let next = text.as_bytes().get(digits);
            next.filter(|byte| b" \t|".contains(byte)).map(|_| digits)?
        }
        // Python: `time - logger - LEVEL - message`. Datadog: `time | process | LEVEL | message`.
        _ if let Some(separator) = separator => {
            text.find(separator).filter(|end| !text[..*end].contains(' '))?
        }
        // Go: `time file.go:12: [LEVEL] message`.
        _ => {
            let (position, _) = text.split_once(": ")?;
            let (file, line) = position.rsplit_once(':')?;
            let is_position = file.ends_with(".go") && !file.contains(' ') && digits(line) == line;
            is_position.then_some(position.len() + 1)?
        }
    };
    (end <= MAX_PART_BYTES).then(|| text.get(end..))?
}

/// A level at the start of the text after a time.
fn word_after_time(text: &str) -> Option<&'static str> {
    // ClickHouse: `<Error>`.
    if let Some(inner) = text.strip_prefix('<') {
        let (word, rest) = split_word(inner);
        return from_word(word, LevelPosition::AfterTime).filter(|_| rest.starts_with('>'));
    }
    let (bracketed, inner) = match text.strip_prefix('[') {
        Some(inner) => (true, inner),
        None => (false, text),
    };
    // Fluent Bit pads on the left: `[ warn]`.
    let (word, rest) = split_word(if bracketed {
        inner.trim_start_matches(' ')
    } else {
        inner
    });
    if bracketed {
        // Apache: `[core:error]`.
        let (word, rest) = match rest.strip_prefix(':') {
            Some(level) => split_word(level),
            None => (word, rest),
        };
        let ends = rest.trim_start_matches(BLANK).starts_with(']');
        return from_word(word, LevelPosition::AfterTime).filter(|_| ends);
    }
    if let Some(level) = rest.strip_prefix('.') {
        // Monolog: `channel.LEVEL:`.
        let (word, rest) = split_word(level);
        return from_word(word, LevelPosition::LineStart)
            .filter(|_| is_capitals(word) && rest.starts_with(':'));
    }
    let level = from_word(word, LevelPosition::AfterTime);
    if level.is_some() {
        let ends = if is_capitals(word) {
            ends_word(rest) || rest.starts_with(['/', ']'])
        } else {
            rest.starts_with(':')
        };
        return level.filter(|_| ends);
    }
    // MongoDB before 4.4: `time I  NETWORK  [thread]`.
    let component = rest.trim_start_matches(' ');
    let (name, after) = split_word(component);
    let is_mongodb = word.len() == 1
        && name.len() > 1
        && is_capitals(name)
        && after.trim_start_matches(' ').starts_with('[');
    // capnslog of etcd: `time W | package: …`.
    let is_capnslog = word.len() == 1 && rest.starts_with(" | ");
    from_letter(*word.as_bytes().first()?).filter(|_| (is_mongodb || is_capnslog) && is_capitals(word))
}

/// A word in capitals or in brackets at the start of a line, and the text after it.
fn word_at_start(line: &str) -> Option<(&'static str, &str)> {
    let padding = line.len() - line.trim_start_matches(' ').len();
    if padding > MAX_PADDING {
        return None;
    }
    let text = line.get(padding..)?;
    let (bracketed, inner) = match text.strip_prefix('[') {
        Some(inner) => (true, inner),
        None => (false, text),
    };
    let (word, rest) = split_word(inner);
    let small = word.bytes().all(|byte| byte.is_ascii_lowercase());
    let fits = if bracketed {
        (is_capitals(word) || small) && rest.trim_start_matches(' ').starts_with(']')
    } else {
        is_capitals(word) && ends_word(rest)
    };
    if !fits {
        return None;
    }
    from_word(word, LevelPosition::LineStart).map(|level| (level, rest))
}

/// The time of an access log: `client ident user [22/Nov/2026:10:49:43 +0000] "GET …`.
pub(super) fn access_time(line: &str) -> Option<crate::Time> {
    let (client, rest) = line.split_once('[')?;
    let found = Timestamp::at_start(rest.as_bytes())?;
    let is_access_log = client.len() <= MAX_CLIENT_BYTES
        && client.ends_with(' ')
        && client.split(' ').count() > 3
        && rest.get(found.length..)?.starts_with("] \"");
    found.time.filter(|_| is_access_log)
}

fn split_word(text: &str) -> (&str, &str) {
    let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    // Apache's `trace8`.
    let digit = text.as_bytes().get(letters).is_some_and(u8::is_ascii_digit) && letters > 0;
    text.split_at(letters + usize::from(digit))
}

fn is_capitals(word: &str) -> bool {
    word.bytes()
        .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

fn ends_word(rest: &str) -> bool {
    rest.bytes()
        .next()
        .is_none_or(|byte| is_space(byte) || byte == b':' || byte == b'|')
}
