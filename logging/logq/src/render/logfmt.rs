//! `key=value` pairs, as `logfmt` reads them.

use line::Document;
use serde_json::Value;
use terminal::escaped;

use super::fields::{self, Chosen};

/// The document as one line.
#[must_use]
pub fn line(document: &Document, chosen: &Chosen) -> String {
    let mut line = String::new();
    fields::each(document, &mut |name, content| {
        if chosen.shows(name) {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&key(name));
            line.push('=');
            line.push_str(&value(content));
        }
    });
    line
}

/// A name: what would end it is replaced.
#[must_use]
pub fn key(name: &str) -> String {
    let ends = |c: char| c.is_whitespace() || c == '=' || c == '"' || terminal::is_acted_on(c);
    name.replace(ends, "_")
}

/// A value: quoted as in JSON where something in it would end it.
#[must_use]
pub fn value(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let plain = |c: char| !c.is_whitespace() && !"\"=\\".contains(c) && !terminal::is_acted_on(c);
            if !text.is_empty() && text.chars().all(plain) {
                text.clone()
            } else {
                escaped(&value_json(value))
            }
        }
        Value::Array(_) | Value::Object(_) => escaped(&value_json(&Value::String(value_json(value)))),
        other => other.to_string(),
    }
}

fn value_json(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
