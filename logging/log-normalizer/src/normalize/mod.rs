//! Converts a line of any program to a document.

mod content;
mod docker;
mod document_builder;
mod flat;
mod foreign;
mod level;
mod members;
mod postgres;
mod rabbitmq;
mod schema_line;
mod text;

pub use self::{
    content::ENCODED_TEXTS,
    docker::docker_content,
    level::numeric_level,
    members::{level_members, time_members},
};
pub(crate) use self::{docker::Wrapper, foreign::Found};

use schema::{component, field, tag};
use serde_json::Value;
use sha2::{Digest, Sha256};

use self::{content::Content, document_builder::DocumentBuilder};
use crate::{
    Document, Origin, RawLine, Stream, Time,
    json::{self, Arena, Object},
};

/// Converts a line of any program to a document.
///
/// The line's content determines its format: the schema's shape, PostgreSQL's jsonlog, RabbitMQ's JSON, any other JSON
/// object, text. The time is the program's by its JSON line, else the runtime's, else the program's by its text line,
/// which often has no fraction. Without any of these the document has no `@timestamp`.
#[must_use]
pub fn normalize(line: &RawLine<'_>, origin: &Origin) -> Document {
    let content = Content::new(line);
    let mut builder = DocumentBuilder::default();
    builder.truncated = content.cut;
    for (tag, applies) in [
        (tag::CUT, content.cut),
        (tag::SCRUBBED, content.scrubbed),
        (tag::UNMATCHED_CRI, line.unmatched),
    ] {
        builder.tag_if(tag, applies);
    }
    let facts = if line.unmatched {
        // Its format is unknown, so the text is kept unchanged.
        builder.set_forced(field::MESSAGE, content.text.as_ref().into());
        Facts::default()
    } else {
        // The path determines the pod, not the line.
        let claims = matches!(origin, Origin::Source(_));
        let after_time = claims && line.time.is_some() && line.stream.is_none();
        let is_bare = claims && line.time.is_none();
        read(
            &mut builder,
            content.without_mark(),
            Context {
                claims,
                after_time,
                is_bare,
            },
        )
    };
    if let Some(time) = facts.time.or(line.time).or(facts.text_time) {
        builder.set_forced(field::TIMESTAMP, Value::String(time.to_string()));
    }
    if let Some(stream) = line.stream.or(facts.stream) {
        builder.set_forced(field::LOG_IOSTREAM, stream.name().into());
    }
    builder.set_forced(field::EVENT_ID, id(line, origin, &content.text).into());
    match origin {
        Origin::Pod(pod) => {
            builder.set_forced("kubernetes", Value::Object(pod.block().clone()));
            builder.set_forced(field::COMPONENT, pod.component().into());
        }
        Origin::Source(_) => {
            if let Some(component) = facts.component {
                builder.set_default(field::COMPONENT, component.into());
            }
        }
    }
    builder.finish()
}

/// Facts of a line besides its fields.
#[derive(Debug, Default)]
struct Facts {
    /// The program's time in a JSON line, or the time of the runtime around it.
    time: Option<Time>,
    /// The program's time in a text line, or without a zone. It counts if the runtime gave none.
    text_time: Option<Time>,
    stream: Option<Stream>,
    component: Option<&'static str>,
}

/// The surroundings of a text.
#[derive(Clone, Copy, Debug)]
struct Context {
    /// Whether the line may name its pod and component.
    claims: bool,
    /// Whether a time was removed from its start; the program may have written it.
    after_time: bool,
    /// Whether no prefix was removed, so it may be a line of Docker's files.
    is_bare: bool,
}

fn read(builder: &mut DocumentBuilder, text: &str, context: Context) -> Facts {
    let arena = Arena::new();
    let from_times = |(time, text_time)| Facts {
        time,
        text_time,
        ..Facts::default()
    };
    let members = text.starts_with('{').then(|| json::parse(text, &arena));
    let Some(Some(members)) = members else {
        builder.tag_if(tag::UNPARSED_JSON, members.is_some());
        let lenient = members.and_then(|_| json::parse_lenient(text, &arena));
        if let Some(members) = lenient {
            builder.set_forced(field::MESSAGE, text.into());
            return from_times(foreign::read_facts(builder, &members, text));
        }
        return Facts {
            text_time: text::read(builder, text, context.after_time),
            ..Facts::default()
        };
    };
    let (time, component) = match Format::detect(&members) {
        Format::Schema => return from_times(schema_line::read(builder, members.to_map(), context.claims)),
        Format::Postgres => (
            postgres::read(builder, members.to_map()),
            Some(component::POSTGRES),
        ),
        Format::RabbitMq => (
            rabbitmq::read(builder, members.to_map()),
            Some(component::RABBITMQ),
        ),
        Format::Foreign => match Wrapper::open(text, &members, context.is_bare) {
            Some(wrapper) => return wrapper.read(builder),
            None => {
                return from_times(foreign::read(builder, &members, text, context.claims));
            }
        },
    };
    Facts {
        time,
        component,
        ..Facts::default()
    }
}

/// The format of a JSON line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// The schema's, as our programs write it.
    Schema,
    Postgres,
    RabbitMq,
    /// Another program's JSON.
    Foreign,
}

impl Format {
    pub(crate) fn detect(members: &Object<'_>) -> Self {
        if schema_line::is_schema_line(members) {
            Self::Schema
        } else if postgres::is_jsonlog(members) {
            Self::Postgres
        } else if rabbitmq::is_rabbitmq_line(members) {
            Self::RabbitMq
        } else {
            Self::Foreign
        }
    }
}

/// The line's id. A pod's line has the same id from files, Fluentd and `kubectl logs --timestamps`.
pub(crate) fn id(line: &RawLine<'_>, origin: &Origin, text: &str) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update(bytes);
        hash.update(b"\0");
    };
    match origin {
        Origin::Pod(pod) => {
            part(pod.container().uid.as_bytes());
            part(pod.container().container.as_bytes());
            // The time of reading differs each time.
            let time = line.time.filter(|_| !line.unmatched);
            part(time.map(|time| time.to_string()).unwrap_or_default().as_bytes());
        }
        Origin::Source(name) => {
            part(name.as_bytes());
            part(line.offset.to_string().as_bytes());
        }
    }
    hash.update(text.as_bytes());
    let mut hex = String::with_capacity(64);
    for byte in hash.finalize() {
        for digit in [byte >> 4, byte & 15] {
            let letter = if digit < 10 {
                b'0' + digit
            } else {
                b'a' + digit - 10
            };
            hex.push(char::from(letter));
        }
    }
    hex
}

#[cfg(test)]
mod tests;
