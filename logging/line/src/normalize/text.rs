//! Lines of plain text: the message is the line, a level only where it is
//! certain.

use std::borrow::Cow;

use schema::{field, level as ours};

use super::{draft::Draft, level};
use crate::prefix::{self, after_digits, digits, is_space};

/// Names of logfmt's pairs that hold the level.
const LEVELS: [&str; 4] = ["level", "lvl", "severity", "loglevel"];

/// Takes the line as it is, without its colours.
pub(super) fn read(draft: &mut Draft, text: &str) {
    let message = without_colours(text);
    let first = message.lines().next().unwrap_or_default();
    if let Some(level) = certain_level(first) {
        draft.text(field::LEVEL, level);
    }
    draft.own(field::MESSAGE, message.into());
}

/// Without what sets colours in a terminal: `ESC [ digits ; : m` (ECMA-48, SGR).
fn without_colours(text: &str) -> Cow<'_, str> {
    if !text.contains("\u{1b}[") {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    let mut parts = text.split("\u{1b}[");
    kept.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let parameters = |c: char| c.is_ascii_digit() || c == ';' || c == ':';
        if let Some(rest) = part.trim_start_matches(parameters).strip_prefix('m') {
            kept.push_str(rest);
        } else {
            kept.push_str("\u{1b}[");
            kept.push_str(part);
        }
    }
    Cow::Owned(kept)
}

fn certain_level(line: &str) -> Option<&'static str> {
    if ends_a_program(line.as_bytes()) {
        return Some(ours::ERROR);
    }
    of_klog(line.as_bytes())
        .or_else(|| leading(line))
        .or_else(|| of_logfmt(line))
}

fn ends_a_program(line: &[u8]) -> bool {
    let starts: [&[u8]; 4] = [
        b"panic: ",
        b"fatal error: ",
        prefix::PYTHON_TRACE,
        prefix::JAVA_TRACE,
    ];
    starts.iter().any(|start| line.starts_with(start)) || prefix::is_rust_panic(line)
}

/// `I1122 10:49:43.101234       1 main.go:10] …`
fn of_klog(line: &[u8]) -> Option<&'static str> {
    let (letter, rest) = line.split_first()?;
    let level = match letter {
        b'I' => ours::INFO,
        b'W' => ours::WARN,
        b'E' | b'F' => ours::ERROR,
        _ => return None,
    };
    let fits = rest.len() > 20 && shaped(rest, b"0000 00:00:00.000000") && is_space(rest[20]);
    fits.then_some(level)
}

/// Whether the text begins with this pattern, in which `0` is any digit.
fn shaped(text: &[u8], pattern: &[u8]) -> bool {
    text.len() >= pattern.len()
        && text.iter().zip(pattern).all(|(byte, pattern)| match pattern {
            b'0' => byte.is_ascii_digit(),
            other => byte == other,
        })
}

/// A word in brackets or capitals at the beginning, or after a time.
fn leading(line: &str) -> Option<&'static str> {
    // A line may also begin with what only looks like a time.
    let after = after_time(line).and_then(|rest| level_word(past_pid(rest)).or_else(|| level_word(rest)));
    after.or_else(|| level_word(line))
}

/// What follows a time, which may be in brackets, and blanks.
fn after_time(line: &str) -> Option<&str> {
    let blank = [' ', '\t'];
    let rest = match line.strip_prefix('[') {
        Some(inner) => time_lengths(inner)
            .into_iter()
            .flatten()
            .find_map(|length| inner[length..].strip_prefix(']'))?,
        None => &line[time_lengths(line)[0]?..],
    };
    Some(rest.trim_start_matches(blank))
}

/// How long a time at the beginning is, the longest reading first.
fn time_lengths(text: &str) -> [Option<usize>; 2] {
    let bytes = text.as_bytes();
    let begins = bytes.len() >= 19
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && [bytes[4], bytes[7]].iter().all(|byte| b"-/".contains(byte))
        && shaped(&bytes[5..], b"00")
        && shaped(&bytes[8..], b"00")
        && b"T ".contains(&bytes[10])
        && shaped(&bytes[11..], b"00:00:00");
    if !begins {
        return [None, None];
    }
    let fraction = match bytes.get(19) {
        Some(b'.' | b',') => digits(&text[20..]).len().min(9),
        _ => 0,
    };
    let length = if fraction > 0 { 20 + fraction } else { 19 };
    let zone = zone_length(&bytes[length..]);
    [Some(length + zone), (zone > 0).then_some(length)]
}

/// ` ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d)`
fn zone_length(text: &[u8]) -> usize {
    let blank = usize::from(text.first() == Some(&b' '));
    let zone = &text[blank..];
    let length = match zone {
        [b'Z', ..] => 1,
        [b'U', b'T', b'C', ..] | [b'G', b'M', b'T', ..] => 3,
        [b'+' | b'-', rest @ ..] if shaped(rest, b"00:00") => 6,
        [b'+' | b'-', rest @ ..] if shaped(rest, b"0000") => 5,
        _ => return 0,
    };
    blank + length
}

/// Past `[123] `, as PostgreSQL writes its process.
fn past_pid(text: &str) -> &str {
    let past = || {
        let rest = text.strip_prefix('[')?.as_bytes();
        let rest = after_digits(rest)?.strip_prefix(b"]")?;
        let rest = text.get(text.len() - rest.len()..)?;
        rest.starts_with([' ', '\t'])
            .then(|| rest.trim_start_matches([' ', '\t']))
    };
    past().unwrap_or(text)
}

/// `[WORD]`, `[word ]`, or a bare `WORD` that ends like a word.
fn level_word(text: &str) -> Option<&'static str> {
    let (bracketed, text) = match text.strip_prefix('[') {
        Some(inner) => (true, inner),
        None => (false, text),
    };
    let length = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (word, rest) = text.split_at(length);
    let capitals = word.bytes().all(|byte| byte.is_ascii_uppercase());
    let small = word.bytes().all(|byte| byte.is_ascii_lowercase());
    let fits = if bracketed {
        (capitals || small) && rest.trim_start_matches(' ').starts_with(']')
    } else {
        capitals
            && rest
                .bytes()
                .next()
                .is_none_or(|byte| is_space(byte) || byte == b':' || byte == b'|')
    };
    level::of_word(word).filter(|_| fits)
}

const fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'@' | b'/' | b'-')
}

/// The first pair `level=word` of a line that begins with a pair.
fn of_logfmt(line: &str) -> Option<&'static str> {
    let key_length = |text: &str| text.bytes().take_while(|byte| is_key_byte(*byte)).count();
    let first = key_length(line);
    if first == 0 || line.as_bytes().get(first) != Some(&b'=') {
        return None;
    }
    let mut rest = line;
    loop {
        let at = rest.bytes().position(is_key_byte)?;
        rest = &rest[at..];
        let (key, after) = rest.split_at(key_length(rest));
        let Some(text) = after.strip_prefix('=') else {
            rest = after;
            continue;
        };
        let (value, after) = logfmt_value(text);
        if LEVELS.contains(&key)
            && let Some(level) = level::of_word(value)
        {
            return Some(level);
        }
        rest = after;
    }
}

/// A value without its quotes, and what follows it.
fn logfmt_value(text: &str) -> (&str, &str) {
    if let Some(quoted) = text.strip_prefix('"') {
        let mut escaped = false;
        let end = quoted.bytes().position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        return match end {
            Some(end) => (&quoted[..end], &quoted[end + 1..]),
            None => ("", text),
        };
    }
    let ends = |byte: u8| is_space(byte) || byte == b'"';
    let length = text.bytes().take_while(|byte| !ends(*byte)).count();
    text.split_at(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_no_text() {
        for (text, plain) in [
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("a\u{1b}[1;38:5:9mb", "ab"),
            ("\u{1b}[2Jstays\u{1b}[", "\u{1b}[2Jstays\u{1b}["),
            ("\u{1b}\u{1b}[mx", "\u{1b}x"),
            ("\u{1b}[3\u{1b}[1mx", "\u{1b}[3x"),
        ] {
            assert_eq!(without_colours(text), plain, "{text:?}");
        }
    }

    #[test]
    fn lines_that_surely_have_a_level() {
        for (line, level) in [
            ("I1122 10:49:43.101234       1 main.go:10] x", "info"),
            ("F1122 10:49:43.101234 1 x", "error"),
            ("panic: x", "error"),
            ("fatal error: x", "error"),
            ("thread 'a' (3) panicked at x", "error"),
            ("Traceback (most recent call last):", "error"),
            ("Exception in thread \"main\" x", "error"),
            ("ERROR x", "error"),
            ("WARN|x", "warn"),
            ("ERROR: x", "error"),
            ("NOTICE", "info"),
            ("[ERROR] x", "error"),
            ("[info] x", "info"),
            ("2026-11-22 10:49:43 ERROR x", "error"),
            ("2026-11-22T10:49:43.101Z WARN: x", "warn"),
            ("2026-11-22 10:49:43,101 +01:00 [debug] x", "debug"),
            (
                "[2026-11-22T10:49:43,101][INFO ][o.o.n.Node               ] [n1] started",
                "info",
            ),
            ("2026-11-22 10:49:43 +0000 [warn]: #0 x", "warn"),
            ("2026/11/22 10:49:44 [error] 31#31: *1 open() failed", "error"),
            ("2026-11-22 10:49:44.791192+00:00 [notice] <0.44.0> x", "info"),
            ("2026-11-22 10:49:43.101 UTC [123] FATAL:  could not x", "error"),
            ("time=\"x y\" level=warning msg=z", "warn"),
            ("a=1 lvl=\"EROR\" severity=\"crit\"", "error"),
            ("level=warn", "warn"),
            ("a.b=\"say \\\"level=error\\\"\" level=info", "info"),
        ] {
            assert_eq!(certain_level(line), Some(level), "{line}");
        }
    }

    #[test]
    fn lines_of_which_nobody_knows() {
        for line in [
            "",
            "error x",
            "Error: x",
            "[Info] x",
            "ERRORS: 3",
            "ERROR-free",
            "INFORMATIONAL x",
            "an ERROR x",
            "[x] ERROR y",
            "info: x",
            "2026-11-22 10:49:43 error x",
            "2026-11-22 ERROR",
            "2026-11-22 10:49:43.101 UTC [123] LOG:  x",
            "X1122 10:49:43.101234 x",
            "I1122 10:49:43.101 x",
            "the level=error is",
            "a=1 slevel=error",
            "a=\"level=error\"",
            "a=1 level=",
            "=x level=error",
        ] {
            assert_eq!(certain_level(line), None, "{line}");
        }
    }
}
