//! Lines of plain text. The message is the line; a level or a time counts only at a certain position.

mod header;
mod logfmt;
mod programs;

use std::borrow::Cow;

use schema::field;

use super::document_builder::DocumentBuilder;
use crate::Time;

/// Facts from the start of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct TextStart {
    time: Option<Time>,
    level: Option<&'static str>,
}

impl TextStart {
    const fn level(level: &'static str) -> Self {
        Self {
            time: None,
            level: Some(level),
        }
    }
}

/// Reads the line without its colours; returns the program's time. `after_time`: whether a time was removed from its start.
pub(super) fn read(builder: &mut DocumentBuilder, text: &str, after_time: bool) -> Option<Time> {
    let message = without_colours(text);
    let start = parse(&message, after_time);
    if let Some(level) = start.level {
        builder.set_text(field::LEVEL, level);
    }
    builder.set_forced(field::MESSAGE, message.into());
    start.time
}

fn parse(message: &str, after_time: bool) -> TextStart {
    let line = message.lines().next().unwrap_or_default();
    if let Some(start) = programs::parse(line, message) {
        return start;
    }
    let (start, rest) = header::parse(line, after_time);
    if start.level.is_some() {
        return start;
    }
    let pairs = logfmt::parse(rest.trim_start());
    TextStart {
        time: start.time.or(pairs.time).or_else(|| header::access_time(line)),
        level: pairs.level,
    }
}

/// Removes sequences that set colours in a terminal: `ESC [ digits ; : m` (ECMA-48, SGR).
fn without_colours(text: &str) -> Cow<'_, str> {
    if !text.contains("\u{1b}[") {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut parts = text.split("\u{1b}[");
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let parameters = |c: char| c.is_ascii_digit() || c == ';' || c == ':';
        if let Some(rest) = part.trim_start_matches(parameters).strip_prefix('m') {
            plain.push_str(rest);
        } else {
            plain.push_str("\u{1b}[");
            plain.push_str(part);
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests;
