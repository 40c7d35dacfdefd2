//! Lines of our own programs, and of any other that writes the same shape.

use schema::{Kind, field, label, level};
use serde_json::{Map, Value};

use super::{
    draft::{Draft, has_too_many_parts},
    flat,
};
use crate::Time;

/// The object of what Kubernetes knows.
const KUBERNETES: &str = "kubernetes";

/// What only the way of the line can tell.
const SHIPPERS: [&str; 4] = [
    field::TAGS,
    field::EVENT_ID,
    field::EVENT_INGESTED,
    field::LOG_IOSTREAM,
];

pub(super) fn is_one(members: &Map<String, Value>) -> bool {
    let text = |name| members.get(name).and_then(Value::as_str);
    text(field::TIMESTAMP).is_some()
        && text(field::MESSAGE).is_some()
        && text(field::LEVEL).is_some_and(|own| level::ALL.contains(&own))
}

/// Takes every member; returns the line's own time. `claims`: whether what it
/// says of its pod and component counts.
pub(super) fn read(draft: &mut Draft, mut members: Map<String, Value>, claims: bool) -> Option<Time> {
    let time = members.remove(field::TIMESTAMP).and_then(|own| {
        let time = own.as_str().and_then(Time::parse);
        if time.is_none() {
            draft.contradicting(field::TIMESTAMP, own);
        }
        time
    });
    let mut reader = Reader { draft, claims };
    for (name, value) in members {
        reader.member(&name, value);
    }
    time
}

struct Reader<'a> {
    draft: &'a mut Draft,
    claims: bool,
}

impl Reader<'_> {
    /// One member under its dotted name from the top.
    fn member(&mut self, name: &str, value: Value) {
        let of_pod = name == KUBERNETES || name.starts_with("kubernetes.") || name == field::COMPONENT;
        if of_pod && !self.claims {
            return;
        }
        if name.split('.').any(flat::is_blank) {
            return self.draft.other(&without_blanks(name), value);
        }
        // OpenSearch refuses a document that has one of its own names.
        if name.starts_with('_') {
            return self.draft.other(name, value);
        }
        if let Some(inner) = inside(name, field::FIELDS_OTHER) {
            self.draft.other(inner, value);
            return;
        }
        if let Some(label) = inside(name, field::KUBERNETES_LABELS) {
            return self.label(label, value);
        }
        if let Some(label) = inside(name, field::KUBERNETES_OTHER_LABELS) {
            return self.draft.other_label(label, value);
        }
        if SHIPPERS.contains(&name) || has_too_many_parts(name) || is_within_a_value(name) {
            return self.draft.contradicting(name, value);
        }
        match (field::by_name(name).map(|field| field.kind), value) {
            (_, Value::Null) if schema::field::is_object(name) => {}
            (_, Value::Object(inner)) if schema::field::is_object(name) => {
                for (own, value) in inner {
                    self.member(&format!("{name}.{own}"), value);
                }
            }
            (Some(Kind::FlatObject | Kind::KeywordMap), Value::Object(inner)) => {
                for (own, value) in inner {
                    self.within(name, &own, value);
                }
            }
            (None, value) if schema::field::is_object(name) => self.draft.contradicting(name, value),
            (None, value) => self.draft.place(name, value),
            (Some(kind), value) => self.draft.set(name, kind, value),
        }
    }

    /// A member of an object whose members have names of their own.
    fn within(&mut self, object: &str, own: &str, value: Value) {
        match object {
            field::KUBERNETES_LABELS => self.label(own, value),
            field::KUBERNETES_OTHER_LABELS => self.draft.other_label(own, value),
            _ => self.draft.other(own, value),
        }
    }

    /// A label under the name that Kubernetes knows it by, or by which it is kept.
    fn label(&mut self, name: &str, value: Value) {
        let is_stored = || {
            let prefix = |prefix: &&str| name.starts_with(&prefix.replace('.', "_"));
            label::OWN_PREFIXES.iter().any(prefix)
        };
        let stored = label::stored(name).or_else(|| is_stored().then(|| name.replace('.', "_")));
        match stored {
            Some(stored) if !value.is_null() => {
                let name = format!("{}.{stored}", field::KUBERNETES_LABELS);
                self.draft.place(&name, flat::as_text(value).into());
            }
            _ => self.draft.other_label(name, value),
        }
    }
}

/// The rest of a name that lies within the object.
fn inside<'a>(name: &'a str, object: &str) -> Option<&'a str> {
    name.strip_prefix(object)?.strip_prefix('.')
}

/// Whether one of the objects that the name goes through is a value in the schema.
fn is_within_a_value(name: &str) -> bool {
    name.match_indices('.')
        .any(|(at, _)| field::by_name(&name[..at]).is_some())
}

/// A name that OpenSearch would refuse, as one that it takes.
fn without_blanks(name: &str) -> String {
    let parts = name
        .split('.')
        .map(|part| if flat::is_blank(part) { "_" } else { part });
    parts.collect::<Vec<_>>().join("_")
}
