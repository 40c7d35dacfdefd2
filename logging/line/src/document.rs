//! One log line in the one shape.

use schema::{FIELDS, Kind, field, stream, tag};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::{Stream, Time};

/// A log line as OpenSearch holds it: a JSON object, its names nested.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document(Map<String, Value>);

/// Why something is no document.
#[derive(Debug, Error)]
pub enum DocumentError {
    /// It is no JSON.
    #[error("the document is no JSON")]
    Json(#[from] serde_json::Error),
    /// It is JSON, but no object.
    #[error("the document is no JSON object")]
    NoObject,
}

impl Document {
    /// A document that has been normalised before, as OpenSearch gives it back.
    ///
    /// # Errors
    ///
    /// When it is no JSON object.
    pub fn from_json(json: &[u8]) -> Result<Self, DocumentError> {
        serde_json::from_slice::<Value>(json)?.try_into()
    }

    /// As one line of JSON without a newline, its keys sorted.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Writing a map with text keys into a string cannot fail.
        serde_json::to_string(&self.0).unwrap_or_default()
    }

    /// Its members.
    #[must_use]
    pub const fn members(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Its members, to keep.
    #[must_use]
    pub fn into_members(self) -> Map<String, Value> {
        self.0
    }

    /// When it happened.
    #[must_use]
    pub fn timestamp(&self) -> Option<Time> {
        Time::parse(self.text(field::TIMESTAMP)?)
    }

    /// When OpenSearch took it; None unless it comes from there.
    #[must_use]
    pub fn ingested(&self) -> Option<Time> {
        Time::parse(self.text(field::EVENT_INGESTED)?)
    }

    /// One of [`schema::level::ALL`], where it is certain.
    #[must_use]
    pub fn level(&self) -> Option<&str> {
        self.text(field::LEVEL)
    }

    /// What happened.
    #[must_use]
    pub fn message(&self) -> &str {
        self.text(field::MESSAGE).unwrap_or_default()
    }

    /// Whose line it is.
    #[must_use]
    pub fn component(&self) -> Option<&str> {
        self.text(field::COMPONENT)
    }

    /// The stream that it is kept in, one of [`schema::stream::ALL`].
    #[must_use]
    pub fn stream(&self) -> &'static str {
        stream::of(self.component().unwrap_or_default())
    }

    /// Its id, the same whichever way the line came.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.text(field::EVENT_ID)
    }

    /// Where the program wrote it.
    #[must_use]
    pub fn iostream(&self) -> Option<Stream> {
        let name = self.text(field::LOG_IOSTREAM)?;
        [Stream::Stdout, Stream::Stderr]
            .into_iter()
            .find(|stream| stream.name() == name)
    }

    /// The trace that it belongs to, 32 hex digits.
    #[must_use]
    pub fn trace_id(&self) -> Option<&str> {
        self.text(field::TRACE_ID)
    }

    /// The photo that it is about.
    #[must_use]
    pub fn photo_id(&self) -> Option<i64> {
        self.get(field::PHOTO_ID)?.as_i64()
    }

    /// A label of its pod, by the name that Kubernetes knows it by or by the
    /// name that it has here.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        let labels = self.get(field::KUBERNETES_LABELS);
        let others = self.get(field::KUBERNETES_OTHER_LABELS);
        labels
            .and_then(|labels| labels.get(name.replace('.', "_")))
            .or_else(|| others.and_then(|others| others.get(name)))
            .and_then(Value::as_str)
    }

    /// What was special about it: of [`schema::tag`].
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        let tags = self.get(field::TAGS).and_then(Value::as_array);
        tags.into_iter().flatten().filter_map(Value::as_str)
    }

    /// Whether it has this tag.
    #[must_use]
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags().any(|own| own == tag)
    }

    /// The value under a dotted name. Names within `fields` and of labels
    /// may have dots of their own.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        let label = name
            .strip_prefix(field::KUBERNETES_LABELS)
            .and_then(|label| label.strip_prefix('.'));
        if let Some(label) = label {
            return found(&self.0, field::KUBERNETES_LABELS)?.get(label.replace('.', "_"));
        }
        found(&self.0, name)
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

/// The member under the whole name, else what is found in a member whose
/// name it begins with.
fn found<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = members.get(name) {
        return Some(value);
    }
    name.match_indices('.').find_map(|(at, _)| {
        let inner = members.get(&name[..at])?.as_object()?;
        found(inner, &name[at + 1..])
    })
}

/// In what a document contradicts the schema.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{name}: {problem}")]
pub struct Contradiction {
    /// The field's dotted name.
    pub name: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// Checks that OpenSearch will take the document, with every field of the
/// schema as the schema has it.
///
/// # Errors
///
/// The first field that it would stumble over.
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
            Some(&document.0)
        } else {
            let mut members = Some(&document.0);
            for part in object.split('.') {
                members = match members.and_then(|members| members.get(part)) {
                    Some(Value::Object(members)) => Some(members),
                    Some(_) => return wrong(object, "is no object"),
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
        return wrong(field::LEVEL, "is none of the levels");
    }
    if document
        .tags()
        .any(|own| tag::MEANINGS.iter().all(|(tag, _)| *tag != own))
    {
        return wrong(field::TAGS, "has one that nobody knows");
    }
    names_of_objects(&document.0, "")
}

/// OpenSearch refuses an object with such a name, wherever it maps objects.
fn names_of_objects(members: &Map<String, Value>, path: &str) -> Result<(), Contradiction> {
    for (name, value) in members {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let problem = if crate::normalize::is_blank(name) {
            "has a blank name"
        } else if name.contains('.') {
            "has a dot in its name"
        } else if path.starts_with('_') {
            "begins with `_`, which is OpenSearch's own"
        } else {
            if let Value::Object(inner) = value
                && schema::field::is_object(&path)
            {
                names_of_objects(inner, &path)?;
            }
            continue;
        };
        return Err(Contradiction { name: path, problem });
    }
    Ok(())
}

/// What is wrong with a value of this kind.
fn problem(kind: Kind, value: &Value) -> Option<&'static str> {
    let fits = match kind {
        Kind::Keyword | Kind::Text => value.is_string(),
        Kind::Keywords => value
            .as_array()
            .is_some_and(|all| all.iter().all(Value::is_string)),
        Kind::Date | Kind::DateNanos => value.as_str().and_then(Time::parse).is_some(),
        Kind::Long => value.is_i64(),
        Kind::Double => value.is_number(),
        Kind::Boolean => value.is_boolean(),
        Kind::KeywordMap => value.as_object().is_some_and(|map| {
            map.iter()
                .all(|(name, value)| !name.contains('.') && value.is_string())
        }),
        Kind::FlatObject => {
            return match value {
                Value::Object(_) => flat_problem(value, 0),
                _ => Some("is no object"),
            };
        }
    };
    (!fits).then_some("is not of its kind")
}

fn flat_problem(value: &Value, depth: usize) -> Option<&'static str> {
    if depth > crate::normalize::MAX_FLAT_DEPTH && (value.is_object() || value.is_array()) {
        return Some("is nested too deep");
    }
    match value {
        Value::Null => Some("holds a null"),
        Value::String(text) if text.len() > schema::MAX_TERM_BYTES => Some("holds a text that is too long"),
        Value::Array(all) => all.iter().find_map(|value| flat_problem(value, depth + 1)),
        Value::Object(members) => members.iter().find_map(|(name, value)| {
            if crate::normalize::is_blank(name) || name.len() > crate::normalize::MAX_FLAT_NAME_BYTES {
                return Some("holds a name that is blank or too long");
            }
            flat_problem(value, depth + 1)
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use schema::label;
    use serde_json::json;

    use super::*;

    fn document(value: Value) -> Document {
        value.try_into().unwrap()
    }

    #[test]
    fn what_it_tells() {
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

    #[test]
    fn a_document_that_an_index_would_refuse() {
        let sound = json!({"@timestamp": "2026-11-22T10:49:43Z", "message": "m", "event": {"id": "i"}});
        assert_eq!(conforms(&document(sound.clone())), Ok(()));
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
            let mut members = document(sound.clone()).into_members();
            members.insert(name.to_owned(), value.clone());
            assert!(conforms(&members.into()).is_err(), "{name}: {value}");
        }
    }
}
