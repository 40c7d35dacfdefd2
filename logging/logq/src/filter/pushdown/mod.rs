//! Translates the part of a filter that OpenSearch can test to query DSL.
//!
//! OpenSearch does not index keywords that are longer than [`MAX_TERM_BYTES`].

mod dsl;

use schema::{FIELDS, FieldKind, MAX_TERM_BYTES, field, label, level};
use serde_json::json;

pub use self::dsl::{Bounds, DslQuery};
use super::{Comparison, Filter, Glob, Literal, Pattern, required_literals::RequiredLiterals};

/// The wildcard index of short messages (`opensearch/mappings.json`).
const MESSAGE_PARTS: &str = "message.wildcard";

/// Shorter texts match too much: the index consists of trigrams.
const MIN_PART_CHARS: usize = 3;
/// Only this many characters of a longer text are queried.
const MAX_PART_CHARS: usize = 200;

/// Translates a filter to bounds.
#[must_use]
pub fn push_down(filter: &Filter) -> Bounds {
    match filter {
        Filter::All(parts) => Bounds::all(&push_down_all(parts)),
        Filter::Any(parts) => Bounds::any(&push_down_all(parts)),
        Filter::Not(part) => push_down(part).negated(),
        Filter::Equals(field, value) => is(field, value),
        Filter::Glob(field, pattern) => glob(field, pattern),
        Filter::Matches(field, pattern) if field == field::MESSAGE => Bounds::at_most(message_query(pattern)),
        Filter::Matches(field, _) => Bounds {
            lower: DslQuery::Nothing,
            ..exists(field)
        },
        Filter::Compare(field, comparison, value) => compare(field, *comparison, value),
        Filter::Counting(filter, _) => push_down(filter),
        Filter::Exists(field) => exists(field),
        Filter::Level(least) => {
            let ranks = level::ALL.iter().position(|level| level == least);
            let graver: Vec<&str> = level::ALL
                .into_iter()
                .take(ranks.map_or(0, |rank| rank + 1))
                .collect();
            dsl(json!({ "terms": { field::LEVEL: graver } }))
        }
        Filter::Text(pattern) => {
            let others = FIELDS
                .iter()
                .filter(|known| known.kind == FieldKind::Text && known.name != field::MESSAGE)
                .map(|known| exists_query(known.name));
            Bounds::at_most(DslQuery::any(others.chain([message_query(pattern)])))
        }
    }
}

fn push_down_all(parts: &[Filter]) -> Vec<Bounds> {
    parts.iter().map(push_down).collect()
}

fn dsl(query: serde_json::Value) -> Bounds {
    Bounds::exactly(DslQuery::Dsl(query))
}

fn nothing() -> Bounds {
    Bounds::exactly(DslQuery::Nothing)
}

/// The index field whose aggregated values equal those of the lines: texts, integers and booleans, one per line.
#[must_use]
pub fn aggregatable_field(name: &str) -> Option<String> {
    match indexed(name) {
        Indexed::As(FieldKind::Keyword | FieldKind::Long | FieldKind::Boolean, place) => Some(place),
        Indexed::As(..) | Indexed::Flat(_) | Indexed::No => None,
    }
}

/// How a field is indexed, and its index name.
enum Indexed {
    As(FieldKind, String),
    /// In a flat object, which indexes every value as text.
    Flat(String),
    No,
}

fn indexed(name: &str) -> Indexed {
    if let Some(known) = FIELDS.iter().find(|field| field.name == name) {
        return Indexed::As(known.kind, name.to_owned());
    }
    let within = |object: &str| name.strip_prefix(object).and_then(|rest| rest.strip_prefix('.'));
    if let Some(label) = within(field::KUBERNETES_LABELS) {
        let label = label.replace('.', "_");
        // Other labels are stored but not indexed.
        let known = label::ALL
            .iter()
            .any(|known| label::stored(known).is_some_and(|stored| stored == label));
        return if known {
            Indexed::As(
                FieldKind::Keyword,
                format!("{}.{label}", field::KUBERNETES_LABELS),
            )
        } else {
            Indexed::No
        };
    }
    let flat = FIELDS
        .iter()
        .any(|field| field.kind == FieldKind::FlatObject && within(field.name).is_some());
    if flat {
        Indexed::Flat(name.to_owned())
    } else {
        Indexed::No
    }
}

fn is(name: &str, value: &Literal) -> Bounds {
    let text = value.text();
    match indexed(name) {
        // A time may have another notation.
        Indexed::As(FieldKind::Keyword | FieldKind::Keywords, _) | Indexed::Flat(_)
            if value.time().is_some() =>
        {
            Bounds::UNKNOWN
        }
        // So may a number.
        Indexed::Flat(_) if value.number().is_some() => Bounds::UNKNOWN,
        Indexed::As(FieldKind::Keyword | FieldKind::Keywords, _) | Indexed::Flat(_)
            if text.len() > MAX_TERM_BYTES =>
        {
            Bounds::UNKNOWN
        }
        Indexed::As(FieldKind::Keyword | FieldKind::Keywords, name) | Indexed::Flat(name) => {
            dsl(json!({ "term": { name: text } }))
        }
        Indexed::As(FieldKind::Boolean, name) => match text {
            "true" | "false" => dsl(json!({ "term": { name: text } })),
            _ => nothing(),
        },
        Indexed::As(FieldKind::Long, name) if value.number().is_some_and(is_rounded) => {
            Bounds::at_most(exists_query(&name))
        }
        Indexed::As(FieldKind::Long | FieldKind::Double, name) => match value.number() {
            Some(number) => dsl(json!({ "range": { name: { "gte": number, "lte": number } } })),
            None => nothing(),
        },
        Indexed::As(FieldKind::Date | FieldKind::DateNanos, name) => match value.time() {
            Some(time) => {
                let time = time.to_string();
                dsl(json!({ "range": { name: { "gte": time, "lte": time } } }))
            }
            None => nothing(),
        },
        Indexed::As(FieldKind::Text | FieldKind::FlatObject | FieldKind::KeywordMap, _) | Indexed::No => {
            Bounds::UNKNOWN
        }
    }
}

fn glob(name: &str, pattern: &Glob) -> Bounds {
    let Indexed::As(FieldKind::Keyword | FieldKind::Keywords, name) = indexed(name) else {
        return Bounds::UNKNOWN;
    };
    if pattern.as_str().len() > MAX_TERM_BYTES {
        return Bounds::UNKNOWN;
    }
    if let Some(text) = pattern.literal() {
        return dsl(json!({ "term": { name: text } }));
    }
    let wildcard = pattern.as_str().replace('\\', "\\\\");
    dsl(json!({ "wildcard": { name: { "value": wildcard } } }))
}

fn compare(name: &str, comparison: Comparison, value: &Literal) -> Bounds {
    let wanted = match indexed(name) {
        Indexed::As(FieldKind::Long, name) if value.number().is_some_and(is_rounded) => {
            return Bounds::at_most(exists_query(&name));
        }
        Indexed::As(FieldKind::Long | FieldKind::Double, name) => {
            value.number().map(|number| (name, json!(number)))
        }
        Indexed::As(FieldKind::Date | FieldKind::DateNanos, name) => {
            value.time().map(|time| (name, json!(time.to_string())))
        }
        _ => return Bounds::UNKNOWN,
    };
    match wanted {
        Some((name, value)) => dsl(json!({ "range": { name: { comparison.query(): value } } })),
        None => nothing(),
    }
}

/// Beyond this, local comparison rounds integers, and OpenSearch rejects those beyond 64 bits.
fn is_rounded(number: f64) -> bool {
    number.abs() > 9_007_199_254_740_992.0
}

fn exists(name: &str) -> Bounds {
    match indexed(name) {
        Indexed::As(_, name) => Bounds::exactly(exists_query(&name)),
        Indexed::Flat(_) | Indexed::No => Bounds::UNKNOWN,
    }
}

fn exists_query(name: &str) -> DslQuery {
    DslQuery::Dsl(json!({ "exists": { "field": name } }))
}

/// Messages that may match the pattern: those with its required literals, and those without a wildcard index.
fn message_query(pattern: &Pattern) -> DslQuery {
    let Some(literals) = RequiredLiterals::from_regex(pattern.as_str()) else {
        return DslQuery::Everything;
    };
    if literals.texts().any(|text| text.chars().count() < MIN_PART_CHARS) {
        return DslQuery::Everything;
    }
    let parts = literals.texts().map(|text| {
        let part: String = text
            .chars()
            .take(MAX_PART_CHARS)
            .flat_map(|character| {
                let escape = matches!(character, '*' | '?' | '\\').then_some('\\');
                escape.into_iter().chain([character])
            })
            .collect();
        DslQuery::Dsl(json!({ "wildcard": { MESSAGE_PARTS: { "value": format!("*{part}*") } } }))
    });
    DslQuery::any(parts.chain([exists_query(MESSAGE_PARTS).negated()]))
}
