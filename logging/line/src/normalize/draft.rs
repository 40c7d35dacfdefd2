//! A document in the making: every value ends where the index can take it.

use std::collections::BTreeSet;

use schema::{Kind, field};
use serde_json::{Map, Number, Value};

use super::flat::{self, Members};
use crate::{Document, Time};

/// Beyond this a double has no room for every whole number.
const MAX_EXACT_DOUBLE: f64 = 9_007_199_254_740_992.0;

/// A dotted name of more parts is not nested.
const MAX_NAME_PARTS: usize = 10;

/// A document in the making.
#[derive(Debug, Default)]
pub(super) struct Draft {
    root: Map<String, Value>,
    /// Members of `fields` under their own names.
    others: Members,
    /// Members of `fields` under the names of fields that they contradict.
    moved: Map<String, Value>,
    other_labels: Members,
    tags: BTreeSet<&'static str>,
    /// Whether something was cut.
    pub(super) truncated: bool,
}

impl Draft {
    pub(super) fn tag_if(&mut self, tag: &'static str, applies: bool) {
        if applies {
            self.tags.insert(tag);
        }
    }

    /// Sets what the line has no say in. An object of the schema is never
    /// anything else here, so there is room for it.
    pub(super) fn own(&mut self, name: &str, value: Value) {
        replace(&mut self.root, name, value);
    }

    /// The same, unless there is a value already.
    pub(super) fn own_default(&mut self, name: &str, value: Value) {
        // Where there is one, it is given back.
        let _ = place(&mut self.root, name, value);
    }

    /// Sets a field of the schema; a value of another kind is moved to
    /// `fields`, null is nothing.
    pub(super) fn set(&mut self, name: &str, kind: Kind, value: Value) {
        match fitting(kind, value, &mut self.truncated) {
            Fit::Nothing => {}
            Fit::Value(value) => self.place(name, value),
            Fit::Contradiction(value) => self.contradicting(name, value),
        }
    }

    /// Sets a field of the schema that has this name.
    pub(super) fn field(&mut self, name: &str, value: Value) {
        if let Some(field) = field::by_name(name) {
            self.set(name, field.kind, value);
        }
    }

    /// The same with a text; an empty one is nothing.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.field(name, text.into());
        }
    }

    /// Puts a value where its name says, nested, if the place is free.
    pub(super) fn place(&mut self, name: &str, value: Value) {
        if has_too_many_parts(name) {
            return self.contradicting(name, value);
        }
        if let Err(value) = place(&mut self.root, name, value) {
            self.contradicting(name, value);
        }
    }

    /// Keeps a value that contradicts the schema, as text.
    pub(super) fn contradicting(&mut self, name: &str, value: Value) {
        if !value.is_null() {
            let text = flat::text(flat::as_text(value), &mut self.truncated);
            self.moved.insert(flat::name(name, &mut self.truncated), text);
        }
    }

    /// Keeps a value that has no place in the schema.
    pub(super) fn other(&mut self, name: &str, value: Value) {
        self.others.insert(name, value, &mut self.truncated);
    }

    /// Keeps a label that has no place of its own.
    pub(super) fn other_label(&mut self, name: &str, value: Value) {
        self.other_labels.insert(name, value, &mut self.truncated);
    }

    /// The document.
    pub(super) fn finish(mut self) -> Document {
        let mut others = self.others.take();
        others.append(&mut self.moved);
        if !others.is_empty() {
            self.own(field::FIELDS_OTHER, Value::Object(others));
        }
        let labels = self.other_labels.take();
        if !labels.is_empty() {
            self.own(field::KUBERNETES_OTHER_LABELS, Value::Object(labels));
        }
        if self.truncated {
            self.own(field::TRUNCATED, Value::Bool(true));
        }
        if !self.tags.is_empty() {
            let tags = self.tags.iter().copied().map(Value::from).collect();
            self.own(field::TAGS, tags);
        }
        self.root.into()
    }
}

/// Whether a dotted name is not nested. To be asked first: a hostile one has
/// half a million dots.
pub(super) fn has_too_many_parts(name: &str) -> bool {
    name.split('.').nth(MAX_NAME_PARTS).is_some()
}

/// Puts a value under a dotted name, whatever was there. What is no object on
/// the way is replaced by one.
fn replace(members: &mut Map<String, Value>, name: &str, value: Value) {
    let Some((first, rest)) = name.split_once('.') else {
        members.insert(name.to_owned(), value);
        return;
    };
    let mut inner = match members.remove(first) {
        Some(Value::Object(inner)) => inner,
        _ => Map::new(),
    };
    replace(&mut inner, rest, value);
    members.insert(first.to_owned(), Value::Object(inner));
}

/// Puts a value under a dotted name; gives it back when there is one already,
/// or something on the way is no object.
fn place(members: &mut Map<String, Value>, name: &str, value: Value) -> Result<(), Value> {
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
        Some(Value::Object(inner)) => place(inner, rest, value),
        Some(_) => Err(value),
        None => {
            let mut inner = Map::new();
            place(&mut inner, rest, value)?;
            members.insert(first.to_owned(), Value::Object(inner));
            Ok(())
        }
    }
}

/// How a value fits its field.
enum Fit {
    /// It says nothing.
    Nothing,
    /// This is how it is written.
    Value(Value),
    /// It does not.
    Contradiction(Value),
}

fn fitting(kind: Kind, value: Value, truncated: &mut bool) -> Fit {
    if value.is_null() {
        return Fit::Nothing;
    }
    let fitting = match kind {
        Kind::Keyword | Kind::Text => match value {
            Value::String(_) => return Fit::Value(value),
            Value::Bool(_) | Value::Number(_) => Some(Value::String(value.to_string())),
            _ => None,
        },
        Kind::Long => long(&value),
        Kind::Double => double(&value),
        Kind::Boolean => match &value {
            Value::Bool(_) => Some(value.clone()),
            Value::String(text) if text == "true" => Some(Value::Bool(true)),
            Value::String(text) if text == "false" => Some(Value::Bool(false)),
            _ => None,
        },
        Kind::Date | Kind::DateNanos => {
            let time = value.as_str().and_then(Time::parse);
            time.map(|time| Value::String(time.to_string()))
        }
        Kind::FlatObject if value.is_object() => flat::value(value.clone(), truncated),
        Kind::FlatObject | Kind::Keywords | Kind::KeywordMap => None,
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

    /// What becomes of a value of this kind: itself, or None where it is moved.
    fn written(kind: Kind, value: Value) -> Option<Value> {
        match fitting(kind, value, &mut false) {
            Fit::Nothing => Some(Value::Null),
            Fit::Value(value) => Some(value),
            Fit::Contradiction(_) => None,
        }
    }

    #[test]
    fn whole_numbers() {
        let long = |value| written(Kind::Long, value);
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
        let double = |value| written(Kind::Double, value);
        assert_eq!(double(json!(1)), Some(json!(1)));
        assert_eq!(double(json!("-1.5e3")), Some(json!(-1500.0)));
        assert_eq!(double(json!("2")), Some(json!(2.0)));
        for text in ["", "-", "1.", ".5", "1e", "1e999", "NaN", "inf", "0x1", "1 "] {
            assert_eq!(double(json!(text)), None, "{text}");
        }
    }

    #[test]
    fn texts_flags_and_times() {
        assert_eq!(written(Kind::Keyword, json!(1.5)), Some(json!("1.5")));
        assert_eq!(written(Kind::Text, json!(true)), Some(json!("true")));
        assert_eq!(written(Kind::Keyword, json!(["a"])), None);
        assert_eq!(written(Kind::Boolean, json!("false")), Some(json!(false)));
        assert_eq!(written(Kind::Boolean, json!(0)), None);
        let time = written(Kind::Date, json!("2026-11-22 10:49:43+01:00"));
        assert_eq!(time, Some(json!("2026-11-22T09:49:43.000000000Z")));
        assert_eq!(written(Kind::DateNanos, json!(1)), None);
        assert_eq!(written(Kind::FlatObject, json!([1])), None);
    }

    #[test]
    fn a_value_in_the_wrong_place_is_kept_as_text() {
        let mut draft = Draft::default();
        draft.field(field::PHOTO_ID, json!([1, {"b": 1, "a": 2}]));
        draft.field(field::PHOTO_STATUS, json!("failed"));
        draft.field(field::PHOTO_STATUS, json!("again"));
        draft.other("photo.status", json!("lost to what was moved"));
        draft.place("photo.status.x", json!(5));
        draft.place("odd.name", json!(null));
        draft.place("a.b.c.d.e.f.g.h.i.j.k", json!(1));
        let members = Value::from(draft.finish());
        assert_eq!(
            members,
            json!({
                "photo": {"status": "failed"}, "odd": {"name": null},
                "fields": {"photo.id": "[1,{\"a\":2,\"b\":1}]", "photo.status": "again", "photo.status.x": "5", "a.b.c.d.e.f.g.h.i.j.k": "1"},
            })
        );
    }
}
