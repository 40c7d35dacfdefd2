//! Values of a flat object. One field of the index stores them all, and Lucene's limits apply to each.

use std::collections::HashMap;

use schema::MAX_TERM_BYTES;
use serde_json::{Map, Value};

use crate::names::{MAX_FLAT_DEPTH, MAX_FLAT_NAME_BYTES, is_blank};

/// Replaces a blank name.
const NO_NAME: &str = "_";

/// The members of one flat object. Names that become equal (blank ones, and long ones that are cut) get a number at
/// their end, in their order.
#[derive(Debug, Default)]
pub(super) struct Members {
    all: Map<String, Value>,
    /// The last number at the end of a repeated name.
    numbers: HashMap<String, usize>,
}

impl Members {
    /// Adds a member; ignores null.
    pub(super) fn insert(&mut self, own: &str, value: Value, truncated: &mut bool) {
        if let Some(value) = self::value(value, truncated) {
            self.keep(name(own, truncated), value);
        }
    }

    fn keep(&mut self, name: String, value: Value) {
        if !self.all.contains_key(&name) {
            self.all.insert(name, value);
            return;
        }
        let number = self.numbers.entry(name.clone()).or_insert(1);
        loop {
            *number += 1;
            let end = format!("_{number}");
            let room = MAX_FLAT_NAME_BYTES.saturating_sub(end.len());
            let numbered = format!("{}{end}", cut(&name, room, &mut false));
            if !self.all.contains_key(&numbered) {
                self.all.insert(numbered, value);
                return;
            }
        }
    }

    /// All of them.
    pub(super) fn take(&mut self) -> Map<String, Value> {
        std::mem::take(self).all
    }
}

/// Converts a name to one that a flat object accepts.
pub(super) fn name(name: &str, truncated: &mut bool) -> String {
    if is_blank(name) {
        return NO_NAME.to_owned();
    }
    cut(name, MAX_FLAT_NAME_BYTES, truncated).to_owned()
}

/// Cuts a text to the length of a term.
pub(super) fn text(text: String, truncated: &mut bool) -> Value {
    let kept = cut(&text, MAX_TERM_BYTES, truncated).len();
    let mut text = text;
    text.truncate(kept);
    Value::String(text)
}

fn cut<'a>(text: &'a str, limit: usize, truncated: &mut bool) -> &'a str {
    let kept = &text[..text.floor_char_boundary(limit)];
    *truncated |= kept.len() < text.len();
    kept
}

/// A value as text: a text unchanged, other values as JSON with sorted keys.
pub(super) fn as_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// The value as a member of a flat object, at the first level; None for null.
pub(super) fn value(value: Value, truncated: &mut bool) -> Option<Value> {
    nested(value, 1, truncated)
}

fn nested(value: Value, depth: usize, truncated: &mut bool) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::String(long) => Some(text(long, truncated)),
        Value::Array(_) | Value::Object(_) if depth > MAX_FLAT_DEPTH => {
            Some(text(value.to_string(), truncated))
        }
        Value::Array(all) => {
            let all = all.into_iter();
            Some(
                all.filter_map(|value| nested(value, depth + 1, truncated))
                    .collect(),
            )
        }
        Value::Object(all) => {
            let mut members = Members::default();
            for (own, value) in all {
                if let Some(value) = nested(value, depth + 1, truncated) {
                    members.keep(name(&own, truncated), value);
                }
            }
            Some(Value::Object(members.all))
        }
        scalar => Some(scalar),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn flat(given: Value) -> (Option<Value>, bool) {
        let mut truncated = false;
        let value = value(given, &mut truncated);
        (value, truncated)
    }

    #[test]
    fn valid_values_are_unchanged() {
        let fits = json!({"a": [1, "x", {"b.c": true}], "d": {}, "e": []});
        assert_eq!(flat(fits.clone()), (Some(fits), false));
    }

    #[test]
    fn nulls_are_ignored() {
        assert_eq!(flat(Value::Null).0, None);
        assert_eq!(
            flat(json!({"a": null, "b": [null, 1]})).0,
            Some(json!({"b": [1]}))
        );
    }

    #[test]
    fn long_texts_and_names_are_cut_between_characters() {
        let (value, truncated) = flat(json!("é".repeat(5000)));
        assert_eq!(value.unwrap().as_str().unwrap().len(), 8190);
        assert!(truncated);
        let mut truncated = false;
        assert_eq!(name(&"n".repeat(600), &mut truncated).len(), 512);
        assert!(truncated);
        assert_eq!(name(" ", &mut truncated), "_");
    }

    #[test]
    fn names_that_become_equal_get_numbers() {
        let blank =
            json!({"": 1, " ": 2, "\t": null, "\u{2003}": 3, "_": 4, "__2": 5, "a": {"": 6, "\t": 7}});
        assert_eq!(
            flat(blank).0,
            Some(json!({"_": 1, "__2": 2, "__3": 4, "__2_2": 5, "__4": 3, "a": {"_": 6, "__2": 7}}))
        );
        let long = |end: &str| format!("{}{end}", "n".repeat(512));
        let (value, truncated) = flat(json!({ long(""): 1, long("a"): 2, long("b"): 3 }));
        let short = |end: &str| format!("{}{end}", "n".repeat(510));
        let expected = json!({ long(""): 1, short("_2"): 2, short("_3"): 3 });
        assert_eq!((value, truncated), (Some(expected), true));
        // Any number of them.
        let many: Map<String, Value> = (0..50_000)
            .map(|n| {
                (
                    " ".repeat(n % 300) + &format!("{n:b}").replace('0', "\t").replace('1', "\n"),
                    n.into(),
                )
            })
            .collect();
        let count = many.len();
        assert_eq!(
            flat(Value::Object(many)).0.unwrap().as_object().unwrap().len(),
            count
        );
    }

    #[test]
    fn values_that_are_too_deep_become_texts() {
        let mut deep = json!({"b": 1, "a": [2]});
        for _ in 0..10 {
            deep = json!({ "x": deep });
        }
        let (value, truncated) = flat(deep);
        let pointer = "/x".repeat(10);
        assert_eq!(
            value.unwrap().pointer(&pointer),
            Some(&json!(r#"{"a":[2],"b":1}"#))
        );
        assert!(!truncated);
    }
}
