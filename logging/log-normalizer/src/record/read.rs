//! Reads the lines that can be records. Each function returns None for a line that [`normalize`](crate::normalize) changes
//! in another way.

use std::borrow::Cow;

use schema::{Field, FieldKind, MAX_CONTENT_BYTES, MAX_TERM_BYTES, field};

use super::Record;
use crate::{
    Origin, RawLine, Time,
    json::{self, Arena, Object, Value},
    names::{MAX_FLAT_DEPTH, MAX_FLAT_NAME_BYTES, is_blank},
    names::{NAMES, Names},
    normalize::{Format, Found, Wrapper},
};

type JsonMembers<'a> = Vec<(&'a str, Value<'a>)>;

/// Labels whose name and value are at most this long are never cut.
const MAX_LABEL_BYTES: usize = 512;

pub(super) fn record<'a>(line: &'a RawLine<'_>, origin: &'a Origin, arena: &'a Arena) -> Option<Record<'a>> {
    if line.cut || line.unmatched || line.content.len() > MAX_CONTENT_BYTES {
        return None;
    }
    let mut text = std::str::from_utf8(&line.content).ok()?;
    let mut line_members = parse(text, arena)?;
    let mut members = Vec::with_capacity(24);
    let mut reader = Reader {
        claims: matches!(origin, Origin::Source(_)),
        is_whole: true,
        time_without_zone: None,
    };
    let (mut around, mut stream) = (line.time, line.stream);
    let is_bare = reader.claims && line.time.is_none();
    if let Some(wrapper) = Wrapper::open(text, &line_members, is_bare) {
        if wrapper.attributes.is_some() {
            return None;
        }
        text = wrapper.content;
        line_members = parse(text, arena)?;
        (around, stream) = (Some(wrapper.time), Some(wrapper.stream));
    }
    let time = match Format::detect(&line_members) {
        Format::Schema => reader.schema_members(&line_members, &mut members)?,
        Format::Foreign => reader.foreign_members(&line_members, text, &mut members, arena)?,
        Format::Postgres | Format::RabbitMq => return None,
    };
    let time = time.or(around).or(reader.time_without_zone);
    if time.is_some() {
        members.push((field::TIMESTAMP, Value::Null));
    }
    if let Origin::Pod(pod) = origin {
        members.push((field::COMPONENT, Value::String(pod.component())));
    }
    if let Some(stream) = stream {
        let iostream = (
            crate::origin::last(field::LOG_IOSTREAM),
            Value::String(stream.name()),
        );
        let at = members.iter().position(|(name, _)| *name == "log");
        let mut log = vec![iostream];
        if let Some((_, Value::Object(inner))) = at.map(|at| members.swap_remove(at)) {
            log.extend(inner.iter().map(|(name, value)| (name, *value)));
        }
        members.push(("log", Value::Object(Object::from_members(&mut log, arena)?)));
    }
    Some(Record {
        members: Object::from_members(&mut members, arena)?,
        time,
        is_whole: reader.is_whole,
        line,
        origin,
    })
}

/// Text before the object makes a line plain text.
fn parse<'a>(text: &'a str, arena: &'a Arena) -> Option<Object<'a>> {
    let is_object = text.starts_with('{');
    is_object.then(|| json::parse(text, arena)).flatten()
}

struct Reader {
    /// Whether the line may name its pod and component.
    claims: bool,
    /// Whether the members are those of the document.
    is_whole: bool,
    time_without_zone: Option<Time>,
}

impl Reader {
    /// Members of a line in our format.
    fn schema_members<'a>(
        &mut self,
        line: &Object<'a>,
        members: &mut JsonMembers<'a>,
    ) -> Option<Option<Time>> {
        let mut time = None;
        for (name, value) in line.iter() {
            match name {
                field::TIMESTAMP => time = Some(Time::from_text(value.as_str()?)?),
                "kubernetes" | field::COMPONENT if !self.claims => {}
                // OpenSearch reserves these names, and an id replaces the line's.
                _ if name.starts_with('_') || name == "event" => return None,
                // A field without a value does not exist.
                _ if *value == Value::Null && NAMES.get(name).is_some() => {}
                _ if self.fits(&NAMES, name, value) => members.push((name, *value)),
                _ => return None,
            }
        }
        Some(time)
    }

    /// Whether a member of an object stays as it is.
    fn fits(&mut self, names: &Names, name: &str, value: &Value<'_>) -> bool {
        match (names.get(name), value) {
            (None, _) => !name.contains('.') && !is_blank(name),
            (
                Some(Names {
                    field: Some(field), ..
                }),
                value,
            ) => self.fits_field(field, value),
            (Some(names), Value::Object(inner)) => {
                !inner.is_empty() && inner.iter().all(|(name, value)| self.fits(names, name, value))
            }
            (Some(_), _) => false,
        }
    }

    fn fits_field(&mut self, field: &Field, value: &Value<'_>) -> bool {
        match (field.kind, value) {
            (FieldKind::Keyword | FieldKind::Text, Value::String(_)) => field.name != field::LOG_IOSTREAM,
            (FieldKind::Long, value) => value.as_i64().is_some(),
            (FieldKind::Double, Value::Number(_)) | (FieldKind::Boolean, Value::Bool(_)) => true,
            (FieldKind::FlatObject, Value::Object(inner)) if field.name == field::FIELDS_OTHER => {
                !inner.is_empty()
                    && inner.iter().all(|(name, value)| {
                        *value != Value::Null && is_flat_name(name) && self.fits_flat(value, 1)
                    })
            }
            (FieldKind::KeywordMap | FieldKind::FlatObject, Value::Object(labels)) => {
                // Their names change.
                self.is_whole = false;
                are_distinct_labels(labels)
            }
            _ => false,
        }
    }

    /// Members of a line of an unknown program.
    fn foreign_members<'a>(
        &mut self,
        line: &Object<'a>,
        text: &'a str,
        members: &mut JsonMembers<'a>,
        arena: &'a Arena,
    ) -> Option<Option<Time>> {
        let found = Found::among(line, text);
        let (message_name, message) = match found.message {
            Some((_, (name, Cow::Borrowed(message)))) => (Some(name), message),
            Some((_, (name, Cow::Owned(message)))) => (Some(name), &*arena.alloc_str(&message)),
            None => (None, text),
        };
        members.push((field::MESSAGE, Value::String(message)));
        let trace_id = found.trace_id.map(|(_, id)| &*arena.alloc_str(&id));
        let component = line.get(field::COMPONENT).and_then(Value::as_str);
        let component = component.filter(|_| self.claims);
        for (name, text) in [
            (field::LEVEL, found.level.map(|(_, level)| level)),
            (field::TRACE_ID, trace_id),
            (field::COMPONENT, component),
        ] {
            let text = text.filter(|text| !text.is_empty());
            members.extend(text.map(|text| (name, Value::String(text))));
        }
        let mut others = JsonMembers::with_capacity(16);
        for (name, value) in line.iter() {
            if Some(name) != message_name && *value != Value::Null {
                if !is_flat_name(name) || !self.fits_flat(value, 1) {
                    return None;
                }
                others.push((name, *value));
            }
        }
        if !others.is_empty() {
            let others = Object::from_members(&mut others, arena)?;
            members.push((field::FIELDS_OTHER, Value::Object(others)));
        }
        self.time_without_zone = found.time_without_zone.map(|(_, time)| time);
        Some(found.time.map(|(_, time)| time))
    }

    /// Whether a value of `fields` stays as it is.
    fn fits_flat(&mut self, value: &Value<'_>, depth: usize) -> bool {
        match value {
            Value::Null => {
                self.is_whole = false;
                true
            }
            Value::String(text) => text.len() <= MAX_TERM_BYTES,
            Value::Array(_) | Value::Object(_) if depth > MAX_FLAT_DEPTH => false,
            Value::Array(values) => values.iter().all(|value| self.fits_flat(value, depth + 1)),
            Value::Object(inner) => inner
                .iter()
                .all(|(name, value)| is_flat_name(name) && self.fits_flat(value, depth + 1)),
            Value::Bool(_) | Value::Number(_) => true,
        }
    }
}

fn is_flat_name(name: &str) -> bool {
    !is_blank(name) && name.len() <= MAX_FLAT_NAME_BYTES
}

/// Whether labels are short texts whose names stay distinct: a dot becomes `_`.
fn are_distinct_labels(labels: &Object<'_>) -> bool {
    let is_short = |text: &str| text.len() <= MAX_LABEL_BYTES;
    let stored = |byte: u8| if byte == b'.' { b'_' } else { byte };
    let is_same = |a: &str, b: &str| a.len() == b.len() && a.bytes().map(stored).eq(b.bytes().map(stored));
    let is_distinct = |name: &str| labels.iter().filter(|(other, _)| is_same(name, other)).count() == 1;
    labels.iter().all(|(name, value)| {
        is_flat_name(name) && is_short(name) && value.as_str().is_some_and(is_short) && is_distinct(name)
    })
}
