//! Applies a filter to a line.

use log_normalizer::{Document, Record, json};
use schema::{FIELDS, FieldKind, field, level};
use serde_json::Value;

use super::{FieldValue, Filter, Literal};

/// A line with testable fields.
pub trait Fields {
    /// Whether `holds` returns true for the field's value or, as in OpenSearch, for one of its array elements. Ignores
    /// null.
    fn any(&self, field: &str, holds: &mut dyn FnMut(FieldValue<'_>) -> bool) -> bool;
}

impl Fields for Document {
    fn any(&self, field: &str, holds: &mut dyn FnMut(FieldValue<'_>) -> bool) -> bool {
        match self.get(field) {
            None => false,
            Some(Value::Array(values)) => values.iter().filter_map(field_value).any(holds),
            Some(value) => field_value(value).is_some_and(holds),
        }
    }
}

fn field_value(value: &Value) -> Option<FieldValue<'_>> {
    Some(match value {
        Value::Null => return None,
        Value::String(text) => FieldValue::Text(text),
        Value::Number(number) => FieldValue::Number(number),
        Value::Bool(value) => FieldValue::Bool(*value),
        Value::Array(_) | Value::Object(_) => FieldValue::Nested,
    })
}

impl Fields for Record<'_> {
    fn any(&self, field: &str, holds: &mut dyn FnMut(FieldValue<'_>) -> bool) -> bool {
        if field == field::TIMESTAMP {
            let time = self.time().map(|time| time.to_string());
            return time.is_some_and(|time| holds(FieldValue::Text(&time)));
        }
        match self.get(field) {
            None => false,
            Some(json::Value::Array(values)) => values.iter().any(|value| holds_for(*value, holds)),
            Some(value) => holds_for(value, holds),
        }
    }
}

fn holds_for(value: json::Value<'_>, holds: &mut dyn FnMut(FieldValue<'_>) -> bool) -> bool {
    match value {
        json::Value::Null => false,
        json::Value::String(text) => holds(FieldValue::Text(text)),
        json::Value::Number(number) => holds(FieldValue::Number(&number.to_owned_number())),
        json::Value::Bool(value) => holds(FieldValue::Bool(value)),
        json::Value::Array(_) | json::Value::Object(_) => holds(FieldValue::Nested),
    }
}

impl Filter {
    #[must_use]
    pub fn matches(&self, line: &impl Fields) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(line)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(line)),
            Self::Not(part) => !part.matches(line),
            Self::Equals(field, wanted) => line.any(field, &mut |value| equals(wanted, value)),
            Self::Glob(field, glob) => any_text(line, field, &|text| glob.is_match(text)),
            Self::Matches(field, pattern) => any_text(line, field, &|text| pattern.is_match(text)),
            Self::Compare(field, comparison, wanted) => line.any(field, &mut |value| {
                wanted.compare(value).is_some_and(|order| comparison.holds(order))
            }),
            Self::Exists(field) => line.any(field, &mut |_| true),
            Self::Level(least) => any_text(line, field::LEVEL, &|level| is_at_least(level, least)),
            Self::Text(pattern) => FIELDS
                .iter()
                .filter(|field| field.kind == FieldKind::Text)
                .any(|field| any_text(line, field.name, &|text| pattern.is_match(text))),
            Self::Counting(filter, _) => filter.matches(line),
        }
    }

    /// Whether every field in the filter satisfies `fits`.
    #[must_use]
    pub fn uses_only(&self, fits: &impl Fn(&str) -> bool) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().all(|part| part.uses_only(fits)),
            Self::Not(part) | Self::Counting(part, _) => part.uses_only(fits),
            Self::Equals(field, _)
            | Self::Glob(field, _)
            | Self::Matches(field, _)
            | Self::Compare(field, ..)
            | Self::Exists(field) => fits(field),
            Self::Level(_) | Self::Text(_) => true,
        }
    }
}

/// The result of a filter for all lines that share these fields: `Some` if it is the same for all of them. Only fields
/// that `knows` accepts are final; a line may add others.
#[must_use]
pub fn decide_early(filter: &Filter, line: &impl Fields, knows: &impl Fn(&str) -> bool) -> Option<bool> {
    let each = |parts: &[Filter], ends: bool| {
        let mut all = Some(!ends);
        for part in parts {
            match decide_early(part, line, knows) {
                Some(holds) if holds == ends => return Some(ends),
                Some(_) => {}
                None => all = None,
            }
        }
        all
    };
    match filter {
        Filter::All(parts) => each(parts, false),
        Filter::Any(parts) => each(parts, true),
        Filter::Not(part) => decide_early(part, line, knows).map(|holds| !holds),
        Filter::Equals(field, _)
        | Filter::Glob(field, _)
        | Filter::Matches(field, _)
        | Filter::Compare(field, ..)
        | Filter::Exists(field) => knows(field).then(|| filter.matches(line)),
        Filter::Level(_) | Filter::Text(_) => None,
        Filter::Counting(filter, _) => decide_early(filter, line, knows),
    }
}

/// Whether a level is `least` or more severe.
fn is_at_least(level: &str, least: &str) -> bool {
    let rank = |name: &str| level::ALL.iter().position(|level| *level == name);
    rank(level).is_some_and(|level| rank(least).is_some_and(|least| level <= least))
}

fn equals(wanted: &Literal, value: FieldValue<'_>) -> bool {
    wanted.compare(value).is_some_and(std::cmp::Ordering::is_eq)
}

fn any_text(line: &impl Fields, field: &str, holds: &dyn Fn(&str) -> bool) -> bool {
    line.any(field, &mut |value| match value {
        FieldValue::Text(text) => holds(text),
        FieldValue::Number(number) => holds(&number.to_string()),
        FieldValue::Bool(value) => holds(if value { "true" } else { "false" }),
        FieldValue::Nested => false,
    })
}
