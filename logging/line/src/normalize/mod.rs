//! From one line of any program to a document.

mod content;
mod draft;
mod flat;
mod level;
mod other;
mod ours;
mod postgres;
mod rabbitmq;
mod text;

pub(crate) use self::flat::{MAX_DEPTH as MAX_FLAT_DEPTH, MAX_NAME_BYTES as MAX_FLAT_NAME_BYTES, is_blank};

use schema::{component, field, tag};
use serde_json::Value;
use sha2::{Digest, Sha256};

use self::{content::Content, draft::Draft};
use crate::{Document, Line, Origin, Time};

/// Gives a line of any program the one shape.
///
/// The program's format is told by what the line holds, whatever its origin:
/// ours, PostgreSQL's jsonlog, RabbitMQ's JSON, any other JSON object, text.
/// Without a time of its own the document has the runtime's; where there is
/// none either, it has no `@timestamp`.
#[must_use]
pub fn normalize(line: &Line<'_>, origin: &Origin) -> Document {
    let content = Content::new(line);
    let mut draft = Draft::default();
    draft.truncated = content.cut;
    for (tag, applies) in [
        (tag::CUT, content.cut),
        (tag::SCRUBBED, content.scrubbed),
        (tag::UNMATCHED_CRI, line.unmatched),
    ] {
        draft.tag_if(tag, applies);
    }
    // The path of a pod's file is known, so what the line claims is not asked.
    let claims = matches!(origin, Origin::Source(_));
    let told = read(&mut draft, line, &content.text, claims);

    if let Some(time) = told.time.or(line.time) {
        draft.own(field::TIMESTAMP, Value::String(time.to_string()));
    }
    if let Some(stream) = line.stream {
        draft.own(field::LOG_IOSTREAM, stream.name().into());
    }
    draft.own(field::EVENT_ID, id(line, origin, &content.text).into());
    match origin {
        Origin::Pod(pod) => {
            draft.own("kubernetes", Value::Object(pod.block().clone()));
            draft.own(field::COMPONENT, pod.component().into());
        }
        Origin::Source(_) => {
            if let Some(component) = told.component {
                draft.own_default(field::COMPONENT, component.into());
            }
        }
    }
    draft.finish()
}

/// What a format tells beside its fields.
#[derive(Debug, Default)]
struct Told {
    /// The program's own time.
    time: Option<Time>,
    /// The program.
    component: Option<&'static str>,
}

fn read(draft: &mut Draft, line: &Line<'_>, text: &str, claims: bool) -> Told {
    if line.unmatched {
        // Nobody knows what it is; it is only kept.
        draft.own(field::MESSAGE, text.into());
        return Told::default();
    }
    if !text.starts_with('{') {
        text::read(draft, text);
        return Told::default();
    }
    let Some(members) = content::json(text) else {
        draft.tag_if(tag::UNPARSED_JSON, true);
        text::read(draft, text);
        return Told::default();
    };
    if ours::is_one(&members) {
        let time = ours::read(draft, members, claims);
        Told {
            time,
            component: None,
        }
    } else if postgres::is_one(&members) {
        let time = postgres::read(draft, members);
        let component = Some(component::POSTGRES);
        Told { time, component }
    } else if rabbitmq::is_one(&members) {
        let time = rabbitmq::read(draft, members);
        let component = Some(component::RABBITMQ);
        Told { time, component }
    } else {
        let time = other::read(draft, members, text, claims);
        Told {
            time,
            component: None,
        }
    }
}

/// The line's id. Of a pod's line: from what files, Fluentd and `kubectl logs
/// --timestamps` tell alike.
pub(crate) fn id(line: &Line<'_>, origin: &Origin, text: &str) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update(bytes);
        hash.update(b"\0");
    };
    match origin {
        Origin::Pod(pod) => {
            part(pod.place().uid.as_bytes());
            part(pod.place().container.as_bytes());
            // When a line was read is not the same the next time.
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
