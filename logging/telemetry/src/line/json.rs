//! JSON text (RFC 8259) of bounded length.

use std::fmt::Write as _;

use super::{
    tree::{Node, OWN_VALUE},
    value::{Text, Value},
};

/// Longest name that is written whole, bytes.
const MAX_NAME_BYTES: usize = 128;

/// Writes `"text"`. Of an escaped text longer than `limit` bytes the beginning
/// stays, with a mark that tells how many bytes are missing. Returns whether
/// it was cut.
pub(crate) fn text(out: &mut String, text: &Text, limit: usize) -> bool {
    out.push('"');
    let written = escaped(out, &text.kept, limit);
    let missing = text.kept.len() - written + text.cut_bytes;
    if missing > 0 {
        // Writing to a string cannot fail.
        let _ = write!(out, "…[+{missing} bytes]");
    }
    out.push('"');
    missing > 0
}

/// Writes a text that is meant to be short: the beginning, without a mark, of
/// one that is longer than `limit` bytes.
pub(crate) fn short(out: &mut String, text: &str, limit: usize) {
    out.push('"');
    escaped(out, text, limit);
    out.push('"');
}

/// Writes `text` as the inside of a JSON string, at most `limit` bytes of it;
/// returns how many bytes of `text` that was.
///
/// Beside what JSON demands, whatever a terminal or a splitter of lines could
/// take as an order is escaped: DEL, C1, U+2028 and U+2029.
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
pub(crate) fn value(out: &mut String, value: &Value, limit: usize) -> bool {
    let _ = match value {
        Value::Bool(value) => write!(out, "{value}"),
        Value::Signed(value) => write!(out, "{value}"),
        Value::Unsigned(value) => write!(out, "{value}"),
        // `{:?}` keeps the point or the exponent, so that it stays a double.
        Value::Float(value) if value.is_finite() => write!(out, "{value:?}"),
        Value::Float(_) => write!(out, "null"),
        Value::Text(value) => return text(out, value, limit),
    };
    false
}

/// Writes `"name":value` of a node; returns whether anything was cut.
pub(crate) fn member(out: &mut String, name: &str, node: &Node<'_>, limit: usize) -> bool {
    out.push('"');
    let mut cut = escaped(out, name, MAX_NAME_BYTES) < name.len();
    out.push_str("\":");
    match node.value {
        Some(own) if node.children.is_empty() => return value(out, own, limit) | cut,
        _ => {}
    }
    out.push('{');
    let shadowed = node.children.iter().any(|(name, _)| *name == OWN_VALUE);
    let mut separator = "";
    if let Some(own) = node.value.filter(|_| !shadowed) {
        let _ = write!(out, "\"{OWN_VALUE}\":");
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
