//! Checks documents against the schema and the limits of OpenSearch.

use schema::{FIELDS, FieldKind, field, tag};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::{
    Document, Time,
    names::{MAX_FLAT_DEPTH, MAX_FLAT_NAME_BYTES, is_blank},
};

/// A field that contradicts the schema.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{name}: {problem}")]
pub struct Contradiction {
    /// The field's dotted name.
    pub name: String,
    pub problem: &'static str,
}

/// Checks that OpenSearch accepts a document, and that each field of the schema has its kind.
///
/// # Errors
/// The first field that OpenSearch would reject.
pub fn conforms(document: &Document) -> Result<(), Contradiction> {
    let wrong = |name: &str, problem| {
        let name = name.to_owned();
        Err(Contradiction { name, problem })
    };
    for required in [field::TIMESTAMP, field::MESSAGE, field::EVENT_ID] {
        if document.get(required).is_none() {
            return wrong(required, "is missing");
        }
    }
    for known in FIELDS {
        let (object, last) = known.name.rsplit_once('.').unwrap_or(("", known.name));
        let members = if object.is_empty() {
            Some(document.members())
        } else {
            let mut members = Some(document.members());
            for part in object.split('.') {
                members = match members.and_then(|members| members.get(part)) {
                    Some(Value::Object(members)) => Some(members),
                    Some(_) => return wrong(object, "is not an object"),
                    None => None,
                };
            }
            members
        };
        if let Some(value) = members.and_then(|members| members.get(last))
            && let Some(problem) = problem(known.kind, value)
        {
            return wrong(known.name, problem);
        }
    }
    if let Some(level) = document.level()
        && !schema::level::ALL.contains(&level)
    {
        return wrong(field::LEVEL, "is not a level");
    }
    if document
        .tags()
        .any(|name| tag::MEANINGS.iter().all(|(tag, _)| *tag != name))
    {
        return wrong(field::TAGS, "contains an unknown tag");
    }
    check_names(document.members(), "")
}

/// Checks the names that OpenSearch rejects in the objects that it maps.
fn check_names(members: &Map<String, Value>, path: &str) -> Result<(), Contradiction> {
    for (name, value) in members {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let problem = if is_blank(name) {
            "has a blank name"
        } else if name.contains('.') {
            "has a dot in its name"
        } else if path.starts_with('_') {
            "begins with `_`, which OpenSearch reserves"
        } else {
            if let Value::Object(inner) = value
                && field::is_object(&path)
            {
                check_names(inner, &path)?;
            }
            continue;
        };
        return Err(Contradiction { name: path, problem });
    }
    Ok(())
}

/// Why a value is not of this kind; None if it is.
fn problem(kind: FieldKind, value: &Value) -> Option<&'static str> {
    let fits = match kind {
        FieldKind::Keyword | FieldKind::Text => value.is_string(),
        FieldKind::Keywords => value
            .as_array()
            .is_some_and(|all| all.iter().all(Value::is_string)),
        FieldKind::Date | FieldKind::DateNanos => value.as_str().and_then(Time::parse).is_some(),
        FieldKind::Long => value.is_i64(),
        FieldKind::Double => value.is_number(),
        FieldKind::Boolean => value.is_boolean(),
        FieldKind::KeywordMap => value.as_object().is_some_and(|map| {
            map.iter()
                .all(|(name, value)| !name.contains('.') && value.is_string())
        }),
        FieldKind::FlatObject => {
            return match value {
                Value::Object(_) => flat_problem(value, 0),
                _ => Some("is not an object"),
            };
        }
    };
    (!fits).then_some("is not of its kind")
}

fn flat_problem(value: &Value, depth: usize) -> Option<&'static str> {
    if depth > MAX_FLAT_DEPTH && (value.is_object() || value.is_array()) {
        return Some("is nested too deeply");
    }
    match value {
        Value::Null => Some("contains a null"),
        Value::String(text) if text.len() > schema::MAX_TERM_BYTES => {
            Some("contains a text that is too long")
        }
        Value::Array(all) => all.iter().find_map(|value| flat_problem(value, depth + 1)),
        Value::Object(members) => members.iter().find_map(|(name, value)| {
            if is_blank(name) || name.len() > MAX_FLAT_NAME_BYTES {
                return Some("contains a name that is blank or too long");
            }
            flat_problem(value, depth + 1)
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_that_opensearch_rejects_do_not_conform() {
        let valid = json!({"@timestamp": "2026-11-22T10:49:43Z", "message": "m", "event": {"id": "i"}});
        assert_eq!(conforms(&Document::try_from(valid.clone()).unwrap()), Ok(()));
        let cases = [
            ("photo", json!(5)),
            ("photo", json!({"id": "x"})),
            ("photo", json!({"": 1})),
            ("photo.id", json!(1)),
            ("_id", json!("x")),
            ("level", json!("WARN")),
            ("tags", json!(["odd"])),
            ("tags", json!("cut")),
            ("event", json!({})),
            ("count", json!(u64::MAX)),
            ("fields", json!({"a": null})),
            ("fields", json!({"a": "x".repeat(8192)})),
            ("kubernetes", json!({"labels": {"a.b": "c"}})),
            ("kubernetes", json!({"labels": {"a": 1}})),
        ];
        for (name, value) in cases {
            let mut members = valid.as_object().unwrap().clone();
            members.insert(name.to_owned(), value.clone());
            assert!(conforms(&members.into()).is_err(), "{name}: {value}");
        }
    }
}
