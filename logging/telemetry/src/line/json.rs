//! JSON text (RFC 8259) of bounded length.

use std::fmt::Write as _;

use super::{
    tree::{FieldTree, VALUE_MEMBER},
    value::{RecordedValue, Text},
};

/// Longest name that is written whole, bytes.
const MAX_NAME_BYTES: usize = 128;

/// Writes `"text"`, truncated to `limit` bytes of escaped text. A mark gives the number of missing bytes. Returns whether
/// the text was truncated.
pub(crate) fn text(out: &mut String, text: &Text, limit: usize) -> bool {
    out.push('"');
    let written = escaped(out, &text.prefix, limit);
    let missing = text.prefix.len() - written + text.cut_bytes;
    if missing > 0 {
        // Writing to a string cannot fail.
        let _ = write!(out, "…[+{missing} bytes]");
    }
    out.push('"');
    missing > 0
}

/// Writes a text, truncated to `limit` bytes without a mark.
pub(crate) fn short(out: &mut String, text: &str, limit: usize) {
    out.push('"');
    escaped(out, text, limit);
    out.push('"');
}

/// Writes `text` as the inside of a JSON string, at most `limit` bytes of it;
/// returns how many bytes of `text` that was.
///
/// In addition to JSON's rules, characters that a terminal or a line splitter may interpret are escaped: DEL, C1, U+2028
/// and U+2029.
fn escaped(out: &mut String, text: &str, limit: usize) -> usize {
    let start = out.len();
    let mut plain_from = 0;
    for (at, c) in text.char_indices() {
        let special = match c {
            '"' => Some("\\\""),
            '\\' => Some("\\\\"),
            '\n' => Some("\\n"),
            '\r' => Some("\\r"),
            '\t' => Some("\\t"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => Some(""),
            _ => None,
        };
        let width = match special {
            None => c.len_utf8(),
            Some("") => 6,
            Some(escape) => escape.len(),
        };
        if out.len() - start + (at - plain_from) + width > limit {
            out.push_str(&text[plain_from..at]);
            return at;
        }
        if let Some(escape) = special {
            out.push_str(&text[plain_from..at]);
            plain_from = at + c.len_utf8();
            if escape.is_empty() {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            } else {
                out.push_str(escape);
            }
        }
    }
    out.push_str(&text[plain_from..]);
    text.len()
}

/// Writes a value; returns whether it was cut.
pub(crate) fn value(out: &mut String, value: &RecordedValue, limit: usize) -> bool {
    let _ = match value {
        RecordedValue::Bool(value) => write!(out, "{value}"),
        RecordedValue::Signed(value) => write!(out, "{value}"),
        RecordedValue::Unsigned(value) => write!(out, "{value}"),
        // `{:?}` keeps the point or the exponent, so that it stays a double.
        RecordedValue::Float(value) if value.is_finite() => write!(out, "{value:?}"),
        RecordedValue::Float(_) => write!(out, "null"),
        RecordedValue::Text(value) => return text(out, value, limit),
    };
    false
}

/// Writes `"name":value` of a node; returns whether anything was cut.
pub(crate) fn member(out: &mut String, name: &str, node: &FieldTree<'_>, limit: usize) -> bool {
    out.push('"');
    let mut cut = escaped(out, name, MAX_NAME_BYTES) < name.len();
    out.push_str("\":");
    match node.value {
        Some(own) if node.children.is_empty() => return value(out, own, limit) | cut,
        _ => {}
    }
    out.push('{');
    let shadowed = node.children.iter().any(|(name, _)| *name == VALUE_MEMBER);
    let mut separator = "";
    if let Some(own) = node.value.filter(|_| !shadowed) {
        let _ = write!(out, "\"{VALUE_MEMBER}\":");
        cut |= value(out, own, limit);
        separator = ",";
    }
    for (name, child) in &node.children {
        out.push_str(separator);
        cut |= member(out, name, child, limit);
        separator = ",";
    }
    out.push('}');
    cut
}
