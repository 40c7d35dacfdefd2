//! Documents that borrow from their lines.

mod read;

use schema::field;

use crate::{
    Document, Origin, RawLine, Time,
    json::{self, Arena, Object, Value},
    normalize,
};

/// The document of a JSON line, without a copy of its values.
///
/// It covers lines that [`normalize`](crate::normalize) hardly changes: our format, and JSON of unknown programs. It
/// gives the same values as the [`Document`](crate::Document).
#[derive(Debug)]
pub struct Record<'a> {
    /// The document's members, except for `event` and a pod's `kubernetes`. `@timestamp` is empty.
    members: Object<'a>,
    time: Option<Time>,
    is_whole: bool,
    line: &'a RawLine<'a>,
    origin: &'a Origin,
}

impl<'a> Record<'a> {
    /// Reads a line; None if only [`normalize`](crate::normalize) gives its document.
    #[must_use]
    pub fn read(line: &'a RawLine<'_>, origin: &'a Origin, arena: &'a Arena) -> Option<Self> {
        read::record(line, origin, arena)
    }

    /// Whether [`Self::get`] gives the field's value. Records have no ids, and labels are not renamed.
    #[must_use]
    pub fn has_field(name: &str) -> bool {
        let is_in = |object: &str| {
            let rest = name.strip_prefix(object);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let left_out = [
            "",
            "event",
            field::KUBERNETES_LABELS,
            field::KUBERNETES_OTHER_LABELS,
        ];
        name != "kubernetes" && !left_out.into_iter().any(is_in)
    }

    /// Whether [`Self::members`] and [`Self::write_json`] are complete.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The members, sorted by name. `@timestamp` is empty, `event` and a pod's `kubernetes` are missing.
    #[must_use]
    pub const fn members(&self) -> Object<'a> {
        self.members
    }

    /// The value under a dotted name; use [`Self::time`] for `@timestamp`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        if let (Origin::Pod(pod), Some(name)) = (self.origin, name.strip_prefix("kubernetes.")) {
            return pod.block().get(name)?.as_str().map(Value::String);
        }
        self.members.find(name).copied()
    }

    /// The line's document, read again.
    #[must_use]
    pub fn to_document(&self) -> Document {
        normalize::normalize(self.line, self.origin)
    }

    #[must_use]
    pub const fn time(&self) -> Option<Time> {
        self.time
    }

    /// One of [`schema::level::ALL`].
    #[must_use]
    pub fn level(&self) -> Option<&'a str> {
        self.members.get(field::LEVEL)?.as_str()
    }

    #[must_use]
    pub fn message(&self) -> &'a str {
        let message = self.members.get(field::MESSAGE);
        message.and_then(Value::as_str).unwrap_or_default()
    }

    #[must_use]
    pub fn component(&self) -> Option<&'a str> {
        self.members.get(field::COMPONENT)?.as_str()
    }

    /// The text of a field.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.members.find(name)?.as_str()
    }

    /// Appends what [`Document::to_json`](crate::Document::to_json) gives, if it [is whole](Self::is_whole).
    pub fn write_json(&self, out: &mut String) {
        let text = String::from_utf8_lossy(&self.line.content);
        let id = normalize::id(self.line, self.origin, &text);
        let block = match self.origin {
            Origin::Pod(pod) => serde_json::to_string(pod.block()).ok(),
            Origin::Source(_) => None,
        };
        let mut added = [
            ("event", Some(format!("{{\"id\":\"{id}\"}}"))),
            ("kubernetes", block),
        ];
        let mut write_added = |before: Option<&str>, out: &mut String| {
            for (name, json) in &mut added {
                if before.is_none_or(|before| *name < before)
                    && let Some(json) = json.take()
                {
                    write_name(name, out);
                    out.push_str(&json);
                }
            }
        };
        let begin = out.len();
        for (name, value) in self.members.iter() {
            write_added(Some(name), out);
            write_name(name, out);
            match self.time {
                Some(time) if name == field::TIMESTAMP => json::write_text(&time.to_string(), out),
                _ => value.write_json(out),
            }
        }
        write_added(None, out);
        // Each name follows a comma; the first one begins the object.
        out.replace_range(begin..=begin, "{");
        out.push('}');
    }
}

fn write_name(name: &str, out: &mut String) {
    out.push(',');
    json::write_text(name, out);
    out.push(':');
}
