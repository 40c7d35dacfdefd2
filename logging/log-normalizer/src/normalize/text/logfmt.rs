//! Lines of pairs: `level=warn ts=2026-11-22T10:49:43Z msg="…"`.

use super::{
    super::{
        level::{LevelPosition, from_word},
        members::{Role, role},
    },
    TextStart,
};
use crate::{Time, prefix::is_space};

/// The level and the time of a line that begins with a pair.
pub(super) fn parse(line: &str) -> TextStart {
    let mut found = TextStart::default();
    let first = key_length(line);
    if first == 0 || line.as_bytes().get(first) != Some(&b'=') {
        return found;
    }
    let mut rest = line;
    while let Some(at) = rest.bytes().position(is_key_byte)
        && (found.level.is_none() || found.time.is_none())
    {
        let (key, after) = rest[at..].split_at(key_length(&rest[at..]));
        let Some(text) = after.strip_prefix('=') else {
            rest = after;
            continue;
        };
        let (value, after) = split_value(text);
        match role(key) {
            Some((_, Role::Level(_))) if found.level.is_none() => {
                found.level = from_word(value, LevelPosition::Member);
            }
            Some((_, Role::Time)) if found.time.is_none() => found.time = Time::from_text(value),
            _ => {}
        }
        rest = after;
    }
    found
}

fn key_length(text: &str) -> usize {
    text.bytes().take_while(|byte| is_key_byte(*byte)).count()
}

const fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'@' | b'/' | b'-')
}

/// A value without its quotes, and the text after it.
fn split_value(text: &str) -> (&str, &str) {
    if let Some(quote @ (b'"' | b'\'')) = text.bytes().next() {
        let quoted = &text[1..];
        let mut escaped = false;
        let end = quoted.bytes().position(|byte| {
            let ends = byte == quote && !escaped;
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
