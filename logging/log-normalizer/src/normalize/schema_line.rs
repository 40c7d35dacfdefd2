//! Lines in the schema's shape, of our programs and others.

use schema::{FieldKind, field, label, level};
use serde_json::{Map, Value};

use super::{
    document_builder::{DocumentBuilder, has_too_many_parts},
    flat,
};
use crate::{Time, json, names};

/// The object with a pod's metadata.
const KUBERNETES: &str = "kubernetes";

/// Fields that the sources of lines set.
const SHIPPERS: [&str; 4] = [
    field::TAGS,
    field::EVENT_ID,
    field::EVENT_INGESTED,
    field::LOG_IOSTREAM,
];

pub(super) fn is_schema_line(members: &json::Object<'_>) -> bool {
    let text = |name| members.get(name).and_then(json::Value::as_str);
    text(field::TIMESTAMP).is_some()
        && text(field::MESSAGE).is_some()
        && text(field::LEVEL).is_some_and(|own| level::ALL.contains(&own))
        // Elastic's level; `level` is the application's.
        && members.get("log.level").is_none()
}

/// Reads every member; returns the line's time, and one without a zone. `claims`: whether the line may name its pod and component.
pub(super) fn read(
    builder: &mut DocumentBuilder,
    mut members: Map<String, Value>,
    claims: bool,
) -> (Option<Time>, Option<Time>) {
    let own = members.remove(field::TIMESTAMP).unwrap_or_default();
    let text = own.as_str();
    let times = (
        text.and_then(Time::from_text),
        text.and_then(Time::from_text_without_zone),
    );
    if times.0.is_none() {
        builder.set_contradicting(field::TIMESTAMP, own);
    }
    let mut reader = MemberReader { builder, claims };
    for (name, value) in members {
        reader.member(&name, value);
    }
    times
}

struct MemberReader<'a> {
    builder: &'a mut DocumentBuilder,
    claims: bool,
}

impl MemberReader<'_> {
    /// One member under its dotted name from the top.
    fn member(&mut self, name: &str, value: Value) {
        let of_pod = name == KUBERNETES || name.starts_with("kubernetes.") || name == field::COMPONENT;
        if of_pod && !self.claims {
            return;
        }
        if name.split('.').any(names::is_blank) {
            return self.builder.set_unmapped(&without_blanks(name), value);
        }
        // OpenSearch reserves such names.
        if name.starts_with('_') {
            return self.builder.set_unmapped(name, value);
        }
        if let Some(inner) = inside(name, field::FIELDS_OTHER) {
            self.builder.set_unmapped(inner, value);
            return;
        }
        if let Some(label) = inside(name, field::KUBERNETES_LABELS) {
            return self.label(label, value);
        }
        if let Some(label) = inside(name, field::KUBERNETES_OTHER_LABELS) {
            return self.builder.set_other_label(label, value);
        }
        if SHIPPERS.contains(&name) || has_too_many_parts(name) || is_within_a_value(name) {
            return self.builder.set_contradicting(name, value);
        }
        match (names::field(name).map(|field| field.kind), value) {
            (_, Value::Null) if names::is_object(name) => {}
            (_, Value::Object(inner)) if names::is_object(name) => {
                for (own, value) in inner {
                    self.member(&format!("{name}.{own}"), value);
                }
            }
            (Some(FieldKind::FlatObject | FieldKind::KeywordMap), Value::Object(inner)) => {
                for (own, value) in inner {
                    self.within(name, &own, value);
                }
            }
            (None, value) if names::is_object(name) => self.builder.set_contradicting(name, value),
            (None, value) => self.builder.insert(name, value),
            (Some(kind), value) => self.builder.set_as(name, kind, value),
        }
    }

    /// A member of an object with free names.
    fn within(&mut self, object: &str, own: &str, value: Value) {
        match object {
            field::KUBERNETES_LABELS => self.label(own, value),
            field::KUBERNETES_OTHER_LABELS => self.builder.set_other_label(own, value),
            _ => self.builder.set_unmapped(own, value),
        }
    }

    /// A label under its name in Kubernetes, or in a document.
    fn label(&mut self, name: &str, value: Value) {
        let is_stored = || {
            let prefix = |prefix: &&str| name.starts_with(&prefix.replace('.', "_"));
            label::OWN_PREFIXES.iter().any(prefix)
        };
        let stored = label::stored(name).or_else(|| is_stored().then(|| name.replace('.', "_")));
        match stored {
            Some(stored) if !value.is_null() => {
                let name = format!("{}.{stored}", field::KUBERNETES_LABELS);
                self.builder.insert(&name, flat::as_text(value).into());
            }
            _ => self.builder.set_other_label(name, value),
        }
    }
}

/// The part of a name within the object.
fn inside<'a>(name: &'a str, object: &str) -> Option<&'a str> {
    name.strip_prefix(object)?.strip_prefix('.')
}

/// Whether one of the objects that the name goes through is a value in the schema.
fn is_within_a_value(name: &str) -> bool {
    name.match_indices('.')
        .any(|(at, _)| names::field(&name[..at]).is_some())
}

/// Converts a name that OpenSearch would reject.
fn without_blanks(name: &str) -> String {
    let parts = name
        .split('.')
        .map(|part| if names::is_blank(part) { "_" } else { part });
    parts.collect::<Vec<_>>().join("_")
}
