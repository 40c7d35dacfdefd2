//! Builds a document. Each value goes to a field whose type in the index accepts it.

use std::collections::BTreeSet;

use schema::{FieldKind, field};
use serde_json::{Map, Number, Value};

use super::flat::{self, Members};
use crate::{Document, Time, names};

/// Beyond this, a double does not represent every whole number.
const MAX_EXACT_DOUBLE: f64 = 9_007_199_254_740_992.0;

/// Maximum number of parts of a nested name.
const MAX_NAME_PARTS: usize = 10;

#[derive(Debug, Default)]
pub(super) struct DocumentBuilder {
    root: Map<String, Value>,
    /// Members of `fields` under their own names.
    others: Members,
    /// Members of `fields` under the names of fields that they contradict.
    moved: Map<String, Value>,
    other_labels: Members,
    tags: BTreeSet<&'static str>,
    /// Whether a value was cut.
    pub(super) truncated: bool,
}

impl DocumentBuilder {
    pub(super) fn tag_if(&mut self, tag: &'static str, applies: bool) {
        if applies {
            self.tags.insert(tag);
        }
    }

    /// Sets a value that the line cannot change, in place of any other.
    pub(super) fn set_forced(&mut self, name: &str, value: Value) {
        replace_at(&mut self.root, name, value);
    }

    /// Sets a value unless there is one.
    pub(super) fn set_default(&mut self, name: &str, value: Value) {
        // The result is the value if another one exists.
        let _ = insert_at(&mut self.root, name, value);
    }

    /// Sets a field of this kind. A value of another kind goes to `fields`; null is ignored.
    pub(super) fn set_as(&mut self, name: &str, kind: FieldKind, value: Value) {
        match fitting(kind, value, &mut self.truncated) {
            Fit::Nothing => {}
            Fit::Value(value) => self.insert(name, value),
            Fit::Contradiction(value) => self.set_contradicting(name, value),
        }
    }

    /// Sets the schema's field of this name.
    pub(super) fn set(&mut self, name: &str, value: Value) {
        if let Some(field) = names::field(name) {
            self.set_as(name, field.kind, value);
        }
    }

    /// Sets a text; ignores an empty one.
    pub(super) fn set_text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.set(name, text.into());
        }
    }

    /// Inserts a value under its dotted name, unless there is one.
    pub(super) fn insert(&mut self, name: &str, value: Value) {
        if has_too_many_parts(name) {
            return self.set_contradicting(name, value);
        }
        if let Err(value) = insert_at(&mut self.root, name, value) {
            self.set_contradicting(name, value);
        }
    }

    /// Moves a value that contradicts the schema to `fields` as text.
    pub(super) fn set_contradicting(&mut self, name: &str, value: Value) {
        if !value.is_null() {
            let text = flat::text(flat::as_text(value), &mut self.truncated);
            self.moved.insert(flat::name(name, &mut self.truncated), text);
        }
    }

    /// Adds a member outside the schema to `fields`.
    pub(super) fn set_unmapped(&mut self, name: &str, value: Value) {
        self.others.insert(name, value, &mut self.truncated);
    }

    /// Adds a label to `kubernetes.other_labels`.
    pub(super) fn set_other_label(&mut self, name: &str, value: Value) {
        self.other_labels.insert(name, value, &mut self.truncated);
    }

    pub(super) fn finish(mut self) -> Document {
        let mut others = self.others.take();
        others.append(&mut self.moved);
        if !others.is_empty() {
            self.set_forced(field::FIELDS_OTHER, Value::Object(others));
        }
        let labels = self.other_labels.take();
        if !labels.is_empty() {
            self.set_forced(field::KUBERNETES_OTHER_LABELS, Value::Object(labels));
        }
        if self.truncated {
            self.set_forced(field::TRUNCATED, Value::Bool(true));
        }
        if !self.tags.is_empty() {
            let tags = self.tags.iter().copied().map(Value::from).collect();
            self.set_forced(field::TAGS, tags);
        }
        self.root.into()
    }
}

/// Whether a dotted name is not nested. Check this first: a hostile name has half a million dots.
pub(super) fn has_too_many_parts(name: &str) -> bool {
    name.split('.').nth(MAX_NAME_PARTS).is_some()
}

/// Sets a value under a dotted name. Replaces any other value, also one in the place of an object.
fn replace_at(members: &mut Map<String, Value>, name: &str, value: Value) {
    let Some((first, rest)) = name.split_once('.') else {
        members.insert(name.to_owned(), value);
        return;
    };
    let mut inner = match members.remove(first) {
        Some(Value::Object(inner)) => inner,
        _ => Map::new(),
    };
    replace_at(&mut inner, rest, value);
    members.insert(first.to_owned(), Value::Object(inner));
}

/// Inserts a value under a dotted name. Returns it if another value exists there, or in the place of an object.
fn insert_at(members: &mut Map<String, Value>, name: &str, value: Value) -> Result<(), Value> {
    let Some((first, rest)) = name.split_once('.') else {
        return match members.get(name) {
            Some(_) => Err(value),
            None => {
                members.insert(name.to_owned(), value);
                Ok(())
            }
        };
    };
    match members.get_mut(first) {
        Some(Value::Object(inner)) => insert_at(inner, rest, value),
        Some(_) => Err(value),
        None => {
            let mut inner = Map::new();
            insert_at(&mut inner, rest, value)?;
            members.insert(first.to_owned(), Value::Object(inner));
            Ok(())
        }
    }
}

/// How a value fits its field.
enum Fit {
    Nothing,
    /// The value in the document.
    Value(Value),
    Contradiction(Value),
}

fn fitting(kind: FieldKind, value: Value, truncated: &mut bool) -> Fit {
    if value.is_null() {
        return Fit::Nothing;
    }
    let fitting = match kind {
        FieldKind::Keyword | FieldKind::Text => match value {
            Value::String(_) => return Fit::Value(value),
            Value::Bool(_) | Value::Number(_) => Some(Value::String(value.to_string())),
            _ => None,
        },
        FieldKind::Long => long(&value),
        FieldKind::Double => double(&value),
        FieldKind::Boolean => match &value {
            Value::Bool(_) => Some(value.clone()),
            Value::String(text) if text == "true" => Some(Value::Bool(true)),
            Value::String(text) if text == "false" => Some(Value::Bool(false)),
            _ => None,
        },
        FieldKind::Date | FieldKind::DateNanos => {
            let time = value.as_str().and_then(Time::parse);
            time.map(|time| Value::String(time.to_string()))
        }
        FieldKind::FlatObject if value.is_object() => flat::value(value.clone(), truncated),
        FieldKind::FlatObject | FieldKind::Keywords | FieldKind::KeywordMap => None,
    };
    fitting.map_or(Fit::Contradiction(value), Fit::Value)
}

fn long(value: &Value) -> Option<Value> {
    let number = match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            let number = number.as_f64().filter(|_| number.is_f64())?;
            let is_whole = number.fract() == 0.0 && number.abs() < MAX_EXACT_DOUBLE;
            #[expect(clippy::cast_possible_truncation, reason = "it is whole and small enough")]
            is_whole.then_some(number as i64)
        }),
        Value::String(text) if !text.starts_with('+') => text.parse().ok(),
        _ => None,
    };
    number.map(Value::from)
}

fn double(value: &Value) -> Option<Value> {
    match value {
        Value::Number(_) => Some(value.clone()),
        Value::String(text) if is_decimal(text.as_bytes()) => {
            Number::from_f64(text.parse().ok()?).map(Value::Number)
        }
        _ => None,
    }
}

/// `-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?`
fn is_decimal(text: &[u8]) -> bool {
    let digits = crate::prefix::after_digits;
    let Some(mut rest) = digits(text.strip_prefix(b"-").unwrap_or(text)) else {
        return false;
    };
    if let Some(fraction) = rest.strip_prefix(b".") {
        let Some(after) = digits(fraction) else {
            return false;
        };
        rest = after;
    }
    match rest {
        [] => true,
        [b'e' | b'E', exponent @ ..] => {
            let exponent = exponent
                .strip_prefix(b"-")
                .or_else(|| exponent.strip_prefix(b"+"))
                .unwrap_or(exponent);
            digits(exponent) == Some(b"")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The written value, or None if it is moved to `fields`.
    fn written(kind: FieldKind, value: Value) -> Option<Value> {
        match fitting(kind, value, &mut false) {
            Fit::Nothing => Some(Value::Null),
            Fit::Value(value) => Some(value),
            Fit::Contradiction(_) => None,
        }
    }

    #[test]
    fn whole_numbers() {
        let long = |value| written(FieldKind::Long, value);
        for (given, taken) in [
            (json!(-5), json!(-5)),
            (json!(i64::MAX), json!(i64::MAX)),
            (json!(17.0), json!(17)),
            (json!("17"), json!(17)),
            (json!("-9223372036854775808"), json!(i64::MIN)),
            (json!(null), json!(null)),
        ] {
            assert_eq!(long(given.clone()), Some(taken), "{given}");
        }
        for given in [
            json!(u64::MAX),
            json!(17.5),
            json!(9_007_199_254_740_992.0),
            json!("17.0"),
            json!("+1"),
            json!(""),
            json!(" 1"),
            json!("9223372036854775808"),
            json!(true),
            json!([1]),
            json!({}),
        ] {
            assert_eq!(long(given.clone()), None, "{given}");
        }
    }

    #[test]
    fn numbers() {
        let double = |value| written(FieldKind::Double, value);
        assert_eq!(double(json!(1)), Some(json!(1)));
        assert_eq!(double(json!("-1.5e3")), Some(json!(-1500.0)));
        assert_eq!(double(json!("2")), Some(json!(2.0)));
        for text in ["", "-", "1.", ".5", "1e", "1e999", "NaN", "inf", "0x1", "1 "] {
            assert_eq!(double(json!(text)), None, "{text}");
        }
    }

    #[test]
    fn texts_flags_and_times() {
        assert_eq!(written(FieldKind::Keyword, json!(1.5)), Some(json!("1.5")));
        assert_eq!(written(FieldKind::Text, json!(true)), Some(json!("true")));
        assert_eq!(written(FieldKind::Keyword, json!(["a"])), None);
        assert_eq!(written(FieldKind::Boolean, json!("false")), Some(json!(false)));
        assert_eq!(written(FieldKind::Boolean, json!(0)), None);
        let time = written(FieldKind::Date, json!("2026-11-22 10:49:43+01:00"));
        assert_eq!(time, Some(json!("2026-11-22T09:49:43.000000000Z")));
        assert_eq!(written(FieldKind::DateNanos, json!(1)), None);
        assert_eq!(written(FieldKind::FlatObject, json!([1])), None);
    }

    #[test]
    fn a_value_of_another_type_is_kept_as_text() {
        let mut builder = DocumentBuilder::default();
        builder.set(field::PHOTO_ID, json!([1, {"b": 1, "a": 2}]));
        builder.set(field::PHOTO_STATUS, json!("failed"));
        builder.set(field::PHOTO_STATUS, json!("again"));
        builder.set_unmapped("photo.status", json!("lost to what was moved"));
        builder.insert("photo.status.x", json!(5));
        builder.insert("odd.name", json!(null));
        builder.insert("a.b.c.d.e.f.g.h.i.j.k", json!(1));
        let members = Value::from(builder.finish());
        assert_eq!(
            members,
            json!({
                "photo": {"status": "failed"}, "odd": {"name": null},
                "fields": {"photo.id": "[1,{\"a\":2,\"b\":1}]", "photo.status": "again", "photo.status.x": "5", "a.b.c.d.e.f.g.h.i.j.k": "1"},
            })
        );
    }
}
