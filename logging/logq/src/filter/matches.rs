//! The test of a document.

use line::{Document, Scalar, Tidy};
use schema::{FIELDS, Kind, field, level};
use serde_json::Value;

use super::{Filter, Literal, Seen};

/// A line whose fields can be tested, in whichever way it was read.
pub trait Fields {
    /// Whether it holds for the field's value or, as in OpenSearch, for one of
    /// several. Null is no value.
    fn any(&self, field: &str, holds: &mut dyn FnMut(Seen<'_>) -> bool) -> bool;
}

impl Fields for Document {
    fn any(&self, field: &str, holds: &mut dyn FnMut(Seen<'_>) -> bool) -> bool {
        match self.get(field) {
            None => false,
            Some(Value::Array(values)) => values.iter().filter_map(seen).any(holds),
            Some(value) => seen(value).is_some_and(holds),
        }
    }
}

fn seen(value: &Value) -> Option<Seen<'_>> {
    Some(match value {
        Value::Null => return None,
        Value::String(text) => Seen::Text(text),
        Value::Number(number) => Seen::Number(number),
        Value::Bool(value) => Seen::Bool(*value),
        Value::Array(_) | Value::Object(_) => Seen::Nested,
    })
}

impl Fields for Tidy<'_> {
    fn any(&self, field: &str, holds: &mut dyn FnMut(Seen<'_>) -> bool) -> bool {
        if field == field::TIMESTAMP {
            return holds(Seen::Text(&self.time().to_string()));
        }
        match self.get(field) {
            Some(Scalar::Text(text)) => holds(Seen::Text(text)),
            Some(Scalar::Number(number)) => holds(Seen::Number(number)),
            Some(Scalar::Bool(value)) => holds(Seen::Bool(*value)),
            None => self.has_object(field) && holds(Seen::Nested),
        }
    }
}

impl Filter {
    /// Whether the line is wanted.
    #[must_use]
    pub fn matches(&self, line: &impl Fields) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(line)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(line)),
            Self::Not(part) => !part.matches(line),
            Self::Is(field, wanted) => line.any(field, &mut |value| is(wanted, value)),
            Self::Glob(field, glob) => any_text(line, field, &|text| glob.fits(text)),
            Self::Found(field, pattern) => any_text(line, field, &|text| pattern.is_in(text)),
            Self::Compare(field, comparison, wanted) => line.any(field, &mut |value| {
                wanted
                    .compared(value)
                    .is_some_and(|order| comparison.holds(order))
            }),
            Self::Exists(field) => line.any(field, &mut |_| true),
            Self::Level(least) => any_text(line, field::LEVEL, &|own| is_as_grave(own, least)),
            Self::Text(pattern) => FIELDS
                .iter()
                .filter(|field| field.kind == Kind::Text)
                .any(|field| any_text(line, field.name, &|text| pattern.is_in(text))),
        }
    }

    /// Whether it asks for these fields alone.
    #[must_use]
    pub fn asks_only(&self, fits: &impl Fn(&str) -> bool) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().all(|part| part.asks_only(fits)),
            Self::Not(part) => part.asks_only(fits),
            Self::Is(field, _)
            | Self::Glob(field, _)
            | Self::Found(field, _)
            | Self::Compare(field, ..)
            | Self::Exists(field) => fits(field),
            Self::Level(_) | Self::Text(_) => true,
        }
    }
}

/// Whether a filter holds for every line (`Some(true)`) or for none
/// (`Some(false)`) that has these fields and that may have others, of which
/// only those are known that `knows` names.
#[must_use]
pub fn decided(filter: &Filter, line: &impl Fields, knows: &impl Fn(&str) -> bool) -> Option<bool> {
    let each = |parts: &[Filter], ends: bool| {
        let mut all = Some(!ends);
        for part in parts {
            match decided(part, line, knows) {
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
        Filter::Not(part) => decided(part, line, knows).map(|holds| !holds),
        Filter::Is(field, _)
        | Filter::Glob(field, _)
        | Filter::Found(field, _)
        | Filter::Compare(field, ..)
        | Filter::Exists(field) => knows(field).then(|| filter.matches(line)),
        Filter::Level(_) | Filter::Text(_) => None,
    }
}

/// Whether one level is another or graver.
fn is_as_grave(own: &str, least: &str) -> bool {
    let rank = |name: &str| level::ALL.iter().position(|level| *level == name);
    rank(own).is_some_and(|own| rank(least).is_some_and(|least| own <= least))
}

fn is(wanted: &Literal, value: Seen<'_>) -> bool {
    wanted.compared(value).is_some_and(std::cmp::Ordering::is_eq)
}

fn any_text(line: &impl Fields, field: &str, holds: &dyn Fn(&str) -> bool) -> bool {
    line.any(field, &mut |value| match value {
        Seen::Text(text) => holds(text),
        Seen::Number(number) => holds(&number.to_string()),
        Seen::Bool(value) => holds(if value { "true" } else { "false" }),
        Seen::Nested => false,
    })
}
