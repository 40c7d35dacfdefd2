//! The test of a document.

use line::Document;
use schema::{FIELDS, Kind, level};
use serde_json::Value;

use super::{Filter, Literal};

impl Filter {
    /// Whether the line is wanted.
    #[must_use]
    pub fn matches(&self, document: &Document) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(document)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(document)),
            Self::Not(part) => !part.matches(document),
            Self::Is(field, wanted) => any_value(document, field, |value| is(wanted, value)),
            Self::Glob(field, glob) => any_text(document, field, |text| glob.fits(text)),
            Self::Found(field, pattern) => any_text(document, field, |text| pattern.is_in(text)),
            Self::Compare(field, comparison, wanted) => any_value(document, field, |value| {
                wanted
                    .compared(value)
                    .is_some_and(|order| comparison.holds(order))
            }),
            Self::Exists(field) => any_value(document, field, |_| true),
            Self::Level(least) => document.level().is_some_and(|own| is_as_grave(own, least)),
            Self::Text(pattern) => FIELDS
                .iter()
                .filter(|field| field.kind == Kind::Text)
                .any(|field| any_text(document, field.name, |text| pattern.is_in(text))),
        }
    }
}

/// Whether one level is another or graver.
fn is_as_grave(own: &str, least: &str) -> bool {
    let rank = |name: &str| level::ALL.iter().position(|level| *level == name);
    rank(own).is_some_and(|own| rank(least).is_some_and(|least| own <= least))
}

fn is(wanted: &Literal, value: &Value) -> bool {
    wanted.compared(value).is_some_and(std::cmp::Ordering::is_eq)
}

/// Whether it holds for the field's value or, as in OpenSearch, for one of
/// several.
fn any_value(document: &Document, field: &str, holds: impl Fn(&Value) -> bool) -> bool {
    match document.get(field) {
        None | Some(Value::Null) => false,
        Some(Value::Array(values)) => values.iter().any(|value| !value.is_null() && holds(value)),
        Some(value) => holds(value),
    }
}

fn any_text(document: &Document, field: &str, holds: impl Fn(&str) -> bool) -> bool {
    any_value(document, field, |value| match value {
        Value::String(text) => holds(text),
        Value::Number(number) => holds(&number.to_string()),
        Value::Bool(value) => holds(if *value { "true" } else { "false" }),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    })
}
