//! A normalised log line.

use schema::{field, stream};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::{Stream, Time};

/// A log line as OpenSearch stores it: a JSON object with nested names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document(Map<String, Value>);

/// Why a value is not a document.
#[derive(Debug, Error)]
pub enum DocumentError {
    #[error("the document is not JSON")]
    Json(#[from] serde_json::Error),
    #[error("the document is not a JSON object")]
    NoObject,
}

impl Document {
    /// Parses a document that was normalised before, for example one that OpenSearch returned.
    ///
    /// # Errors
    /// When the text is not a JSON object.
    pub fn from_json(json: &[u8]) -> Result<Self, DocumentError> {
        serde_json::from_slice::<Value>(json)?.try_into()
    }

    /// One line of JSON with sorted keys and without a newline.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Writing a map with text keys into a string cannot fail.
        serde_json::to_string(&self.0).unwrap_or_default()
    }

    #[must_use]
    pub const fn members(&self) -> &Map<String, Value> {
        &self.0
    }

    #[must_use]
    pub fn into_members(self) -> Map<String, Value> {
        self.0
    }

    /// `@timestamp`: when the event happened.
    #[must_use]
    pub fn timestamp(&self) -> Option<Time> {
        Time::parse(self.text(field::TIMESTAMP)?)
    }

    /// The time of indexing; None unless OpenSearch returned the document.
    #[must_use]
    pub fn ingested(&self) -> Option<Time> {
        Time::parse(self.text(field::EVENT_INGESTED)?)
    }

    /// One of [`schema::level::ALL`]; None if the line does not tell its level.
    #[must_use]
    pub fn level(&self) -> Option<&str> {
        self.text(field::LEVEL)
    }

    #[must_use]
    pub fn message(&self) -> &str {
        self.text(field::MESSAGE).unwrap_or_default()
    }

    /// The component that wrote the line.
    #[must_use]
    pub fn component(&self) -> Option<&str> {
        self.text(field::COMPONENT)
    }

    /// The data stream that stores the line, one of [`schema::stream::ALL`].
    #[must_use]
    pub fn stream(&self) -> &'static str {
        stream::of(self.component().unwrap_or_default())
    }

    /// The id of the line. It is the same from every source.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.text(field::EVENT_ID)
    }

    /// The stream that the program wrote to.
    #[must_use]
    pub fn iostream(&self) -> Option<Stream> {
        Stream::from_name(self.text(field::LOG_IOSTREAM)?)
    }

    /// The trace id, 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> Option<&str> {
        self.text(field::TRACE_ID)
    }

    #[must_use]
    pub fn photo_id(&self) -> Option<i64> {
        self.get(field::PHOTO_ID)?.as_i64()
    }

    /// A label of the pod, by its name in Kubernetes or in the document.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        let labels = self.get(field::KUBERNETES_LABELS);
        let others = self.get(field::KUBERNETES_OTHER_LABELS);
        labels
            .and_then(|labels| labels.get(name.replace('.', "_")))
            .or_else(|| others.and_then(|others| others.get(name)))
            .and_then(Value::as_str)
    }

    /// The tags, of [`schema::tag`].
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        let tags = self.get(field::TAGS).and_then(Value::as_array);
        tags.into_iter().flatten().filter_map(Value::as_str)
    }

    #[must_use]
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags().any(|name| name == tag)
    }

    /// The value under a dotted name. Names in `fields` and of labels may contain dots.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        let label = name
            .strip_prefix(field::KUBERNETES_LABELS)
            .and_then(|label| label.strip_prefix('.'));
        if let Some(label) = label {
            return find_nested(&self.0, field::KUBERNETES_LABELS)?.get(label.replace('.', "_"));
        }
        find_nested(&self.0, name)
    }

    /// The text under a dotted name.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }
}

impl TryFrom<Value> for Document {
    type Error = DocumentError;

    fn try_from(value: Value) -> Result<Self, DocumentError> {
        match value {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(DocumentError::NoObject),
        }
    }
}

impl From<Map<String, Value>> for Document {
    fn from(members: Map<String, Value>) -> Self {
        Self(members)
    }
}

impl From<Document> for Value {
    fn from(document: Document) -> Self {
        Self::Object(document.0)
    }
}

/// Finds the member with the whole name, or with the rest of the name in the object that its first parts name.
fn find_nested<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = members.get(name) {
        return Some(value);
    }
    name.match_indices('.').find_map(|(at, _)| {
        let inner = members.get(&name[..at])?.as_object()?;
        find_nested(inner, &name[at + 1..])
    })
}

#[cfg(test)]
mod tests {
    use schema::{label, tag};
    use serde_json::json;

    use super::*;

    fn document(value: Value) -> Document {
        value.try_into().unwrap()
    }

    #[test]
    fn accessors() {
        let document = document(json!({
            "@timestamp": "2026-11-22T10:49:43.101000000Z", "level": "warn", "message": "m", "component": "irmgard",
            "event": {"id": "i", "ingested": "2026-11-22T10:49:44.5Z"}, "log": {"iostream": "stderr"},
            "tags": ["cut"], "trace_id": "t", "photo": {"id": 17}, "fields": {"a.b": {"c.d": 1}, "photo.id": "x"},
            "kubernetes": {"labels": {"app_kubernetes_io/name": "irmgard"}, "other_labels": {"x.y/z": "v"}},
        }));
        assert_eq!(
            document.timestamp().map(Time::nanos),
            Some(1_795_344_583_101_000_000)
        );
        assert_eq!(
            document.ingested().map(Time::nanos),
            Some(1_795_344_584_500_000_000)
        );
        assert_eq!(
            (
                document.level(),
                document.message(),
                document.component(),
                document.id()
            ),
            (Some("warn"), "m", Some("irmgard"), Some("i"))
        );
        assert_eq!(
            (document.iostream(), document.stream()),
            (Some(Stream::Stderr), "irmgard")
        );
        assert_eq!((document.trace_id(), document.photo_id()), (Some("t"), Some(17)));
        assert!(document.has_tag(tag::CUT) && !document.has_tag(tag::SCRUBBED));
        for name in [label::NAME, "app_kubernetes_io/name"] {
            assert_eq!(document.label(name), Some("irmgard"));
            assert_eq!(
                document.text(&format!("kubernetes.labels.{name}")),
                Some("irmgard")
            );
        }
        assert_eq!(document.label("x.y/z"), Some("v"));
        assert_eq!(document.text("kubernetes.other_labels.x.y/z"), Some("v"));
        assert_eq!(document.get("fields.a.b.c.d"), Some(&json!(1)));
        assert_eq!(document.text("fields.photo.id"), Some("x"));
        for name in ["", ".", "photo", "photo.", "photo.id.x", "a"] {
            assert_eq!(document.get(name).is_some(), name == "photo", "{name}");
        }
    }

    #[test]
    fn keys_are_sorted() {
        let json = br#"{"message":"m","a":1,"event":{"z":1,"id":2}}"#;
        let document = Document::from_json(json).unwrap();
        assert_eq!(
            document.to_json(),
            r#"{"a":1,"event":{"id":2,"z":1},"message":"m"}"#
        );
        assert!(matches!(Document::from_json(b"[]"), Err(DocumentError::NoObject)));
        assert!(matches!(Document::from_json(b"x"), Err(DocumentError::Json(_))));
    }
}
