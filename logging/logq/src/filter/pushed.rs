//! The part of a filter that OpenSearch can test, as query DSL.

use schema::{FIELDS, Kind, field, level};
use serde_json::{Value, json};

use super::{Comparison, Filter, Glob, Literal};

/// Longer texts are in no index of a keyword (`ignore_above` of the templates).
const MAX_KEYWORD_BYTES: usize = 8191;

/// A query that finds every line that a filter wants, and perhaps others.
#[derive(Clone, Debug, PartialEq)]
pub struct Pushed {
    /// The query; None finds everything.
    pub query: Option<Value>,
    /// Whether it finds no others.
    pub exact: bool,
}

impl Pushed {
    const EVERYTHING: Self = Self {
        query: None,
        exact: true,
    };
    /// Nothing can be said beforehand.
    const UNKNOWN: Self = Self {
        query: None,
        exact: false,
    };

    const fn exactly(query: Value) -> Self {
        Self {
            query: Some(query),
            exact: true,
        }
    }

    fn nothing() -> Self {
        Self::exactly(json!({ "match_none": {} }))
    }
}

/// What OpenSearch can test of the filter.
#[must_use]
pub fn push(filter: &Filter) -> Pushed {
    match filter {
        Filter::All(parts) => all(parts),
        Filter::Any(parts) => any(parts),
        Filter::Not(part) => match push(part) {
            Pushed {
                query: None,
                exact: true,
            } => Pushed::nothing(),
            Pushed {
                query: Some(query),
                exact: true,
            } => Pushed::exactly(json!({ "bool": { "must_not": [query] } })),
            Pushed { exact: false, .. } => Pushed::UNKNOWN,
        },
        Filter::Is(field, value) => is(field, value),
        Filter::Glob(field, pattern) => glob(field, pattern),
        Filter::Found(field, _) => Pushed {
            exact: false,
            ..exists(field)
        },
        Filter::Compare(field, comparison, value) => compare(field, *comparison, value),
        Filter::Exists(field) => exists(field),
        Filter::Level(least) => {
            let graver: Vec<&str> = level::ALL
                .into_iter()
                .take(
                    level::ALL
                        .iter()
                        .position(|level| level == least)
                        .map_or(0, |at| at + 1),
                )
                .collect();
            Pushed::exactly(json!({ "terms": { field::LEVEL: graver } }))
        }
        Filter::Text(_) => Pushed::UNKNOWN,
    }
}

fn all(parts: &[Filter]) -> Pushed {
    let pushed: Vec<Pushed> = parts.iter().map(push).collect();
    let exact = pushed.iter().all(|part| part.exact);
    let mut queries: Vec<Value> = pushed.into_iter().filter_map(|part| part.query).collect();
    let query = match queries.len() {
        0 => None,
        1 => queries.pop(),
        _ => Some(json!({ "bool": { "filter": queries } })),
    };
    Pushed { query, exact }
}

fn any(parts: &[Filter]) -> Pushed {
    let mut queries = Vec::new();
    let mut exact = true;
    for part in parts {
        match push(part) {
            Pushed { query: None, exact } => {
                return if exact {
                    Pushed::EVERYTHING
                } else {
                    Pushed::UNKNOWN
                };
            }
            Pushed {
                query: Some(query),
                exact: own,
            } => {
                exact &= own;
                queries.push(query);
            }
        }
    }
    match queries.len() {
        0 => Pushed::nothing(),
        1 => Pushed {
            query: queries.pop(),
            exact,
        },
        _ => Pushed {
            query: Some(json!({ "bool": { "should": queries, "minimum_should_match": 1 } })),
            exact,
        },
    }
}

/// How a field is indexed, and under which name.
enum Indexed {
    As(Kind, String),
    /// Within a flat object: every value is a text there.
    Flat(String),
    No,
}

fn indexed(name: &str) -> Indexed {
    if let Some(known) = FIELDS.iter().find(|field| field.name == name) {
        return Indexed::As(known.kind, name.to_owned());
    }
    let within = |object: &str| name.strip_prefix(object).and_then(|rest| rest.strip_prefix('.'));
    if let Some(label) = within(field::KUBERNETES_LABELS) {
        let name = format!("{}.{}", field::KUBERNETES_LABELS, label.replace('.', "_"));
        return Indexed::As(Kind::Keyword, name);
    }
    let flat = FIELDS
        .iter()
        .any(|field| field.kind == Kind::FlatObject && within(field.name).is_some());
    if flat {
        Indexed::Flat(name.to_owned())
    } else {
        Indexed::No
    }
}

fn is(name: &str, value: &Literal) -> Pushed {
    let text = value.text();
    match indexed(name) {
        // As a time it may be written in another way.
        Indexed::As(Kind::Keyword | Kind::Keywords, _) | Indexed::Flat(_) if value.time().is_some() => {
            Pushed::UNKNOWN
        }
        // As a number too.
        Indexed::Flat(_) if value.number().is_some() => Pushed::UNKNOWN,
        Indexed::As(Kind::Keyword | Kind::Keywords, _) | Indexed::Flat(_)
            if text.len() > MAX_KEYWORD_BYTES =>
        {
            Pushed::UNKNOWN
        }
        Indexed::As(Kind::Keyword | Kind::Keywords, name) | Indexed::Flat(name) => {
            Pushed::exactly(json!({ "term": { name: text } }))
        }
        Indexed::As(Kind::Boolean, name) => match text {
            "true" | "false" => Pushed::exactly(json!({ "term": { name: text } })),
            _ => Pushed::nothing(),
        },
        Indexed::As(Kind::Long | Kind::Double, name) => match value.number() {
            Some(number) => Pushed::exactly(json!({ "range": { name: { "gte": number, "lte": number } } })),
            None => Pushed::nothing(),
        },
        Indexed::As(Kind::Date | Kind::DateNanos, name) => match value.time() {
            Some(time) => {
                let time = time.to_string();
                Pushed::exactly(json!({ "range": { name: { "gte": time, "lte": time } } }))
            }
            None => Pushed::nothing(),
        },
        Indexed::As(Kind::Text | Kind::FlatObject | Kind::KeywordMap, _) | Indexed::No => Pushed::UNKNOWN,
    }
}

fn glob(name: &str, pattern: &Glob) -> Pushed {
    // Sets and alternatives are not known there.
    if pattern.as_str().contains(['[', '{', '\\']) || pattern.as_str().len() > MAX_KEYWORD_BYTES {
        return Pushed::UNKNOWN;
    }
    match indexed(name) {
        Indexed::As(Kind::Keyword | Kind::Keywords, name) => match pattern.literal() {
            Some(text) => Pushed::exactly(json!({ "term": { name: text } })),
            None => Pushed::exactly(json!({ "wildcard": { name: { "value": pattern.as_str() } } })),
        },
        _ => Pushed::UNKNOWN,
    }
}

fn compare(name: &str, comparison: Comparison, value: &Literal) -> Pushed {
    let wanted = match indexed(name) {
        Indexed::As(Kind::Long | Kind::Double, name) => value.number().map(|number| (name, json!(number))),
        Indexed::As(Kind::Date | Kind::DateNanos, name) => {
            value.time().map(|time| (name, json!(time.to_string())))
        }
        _ => return Pushed::UNKNOWN,
    };
    match wanted {
        Some((name, value)) => Pushed::exactly(json!({ "range": { name: { comparison.query(): value } } })),
        None => Pushed::nothing(),
    }
}

fn exists(name: &str) -> Pushed {
    match indexed(name) {
        Indexed::As(_, name) => Pushed::exactly(json!({ "exists": { "field": name } })),
        Indexed::Flat(_) | Indexed::No => Pushed::UNKNOWN,
    }
}
