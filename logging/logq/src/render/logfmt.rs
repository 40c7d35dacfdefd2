//! The logfmt format: `key=value` pairs.

use std::fmt::Write;

use log_normalizer::{Document, json};
use serde_json::Value;
use terminal::escape_into;

use super::fields::{self, FieldSelection};

#[must_use]
pub fn format_line(document: &Document, fields: &FieldSelection) -> String {
    let mut line = String::new();
    fields::for_each_field(document, &mut |name, content| {
        if fields.shows(name) {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&escape_key(name));
            line.push('=');
            push_value(content, &mut line);
        }
    });
    line
}

/// Replaces the characters that would end a key.
#[must_use]
pub fn escape_key(name: &str) -> String {
    let ends = |c: char| c.is_whitespace() || c == '=' || c == '"' || terminal::is_acted_on(c);
    name.replace(ends, "_")
}

/// Appends a value, quoted as in JSON if needed.
pub fn push_value(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => push_text(text, out),
        Value::Array(_) | Value::Object(_) => {
            escape_into(&value_json(&Value::String(value_json(value))), out);
        }
        // Writing to a string does not fail.
        other => drop(write!(out, "{other}")),
    }
}

/// The same for a value that borrows from its line.
pub fn push_borrowed(value: &json::Value<'_>, out: &mut String) {
    match value {
        json::Value::String(text) => push_text(text, out),
        json::Value::Array(_) | json::Value::Object(_) => {
            let mut text = String::new();
            value.write_json(&mut text);
            escape_into(&value_json(&Value::String(text)), out);
        }
        scalar => scalar.write_json(out),
    }
}

/// Appends a text as a value.
pub fn push_text(text: &str, out: &mut String) {
    let simple = |byte: u8| byte.is_ascii_graphic() && !b"\"=\\".contains(&byte);
    let plain = |c: char| !c.is_whitespace() && !"\"=\\".contains(c) && !terminal::is_acted_on(c);
    if !text.is_empty() && (text.bytes().all(simple) || text.chars().all(plain)) {
        out.push_str(text);
    } else {
        escape_into(&serde_json::to_string(text).unwrap_or_default(), out);
    }
}

fn value_json(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
