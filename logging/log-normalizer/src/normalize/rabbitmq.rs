//! RabbitMQ's JSON formatter (its documentation, "Logging", JSON).

use schema::field;
use serde_json::{Map, Value};

use super::{
    document_builder::DocumentBuilder,
    level::{self, LevelPosition},
};
use crate::{
    Time, json,
    prefix::{after_digits, digits},
};

/// The field of each member whose value is unchanged.
const FIELDS: [(&str, &str); 4] = [
    ("msg", field::MESSAGE),
    ("pid", field::RABBITMQ_PID),
    ("file", field::CODE_FILE_PATH),
    ("line", field::CODE_LINE_NUMBER),
];

pub(super) fn is_rabbitmq_line(members: &json::Object<'_>) -> bool {
    let is_text = |name| members.get(name).is_some_and(json::Value::is_string);
    let of_erlang = members
        .get("pid")
        .and_then(json::Value::as_str)
        .is_some_and(|text| pid(text) == Some(text));
    let domain = || domain(&(*members.get("domain")?).into());
    // Another program's domain is a host name.
    let is_rabbitmq = || domain().is_some_and(|domain| domain.starts_with("rabbitmq"));
    ["time", "level", "msg"].into_iter().all(is_text) && (of_erlang || is_rabbitmq())
}

/// Reads every member; returns RabbitMQ's time.
pub(super) fn read(builder: &mut DocumentBuilder, mut members: Map<String, Value>) -> Option<Time> {
    builder.set_text(field::MESSAGING_SYSTEM, "rabbitmq");
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let level = text("level").and_then(|word| level::from_word(word, LevelPosition::Member));
    if let Some(level) = level {
        builder.set_text(field::LEVEL, level);
    }
    let time = text("time").and_then(Time::from_text);
    if let Some(message) = text("msg") {
        if let Some(connection) = MessageConnection::find(message) {
            builder.set_text(field::RABBITMQ_CONNECTION_PID, connection.pid.unwrap_or_default());
            builder.set_text(field::CLIENT_ADDRESS, connection.address);
            builder.set(field::CLIENT_PORT, connection.port.into());
        }
        builder.set_text(
            field::MESSAGING_CLIENT_ID,
            client_name(message).unwrap_or_default(),
        );
    }
    for (name, consumed) in [("level", level.is_some()), ("time", time.is_some())] {
        if consumed {
            members.remove(name);
        }
    }
    for (field, read) in [
        (
            ("domain", field::RABBITMQ_DOMAIN),
            domain as fn(&Value) -> Option<String>,
        ),
        (("mfa", field::CODE_FUNCTION_NAME), function),
    ] {
        if let Some(text) = members.get(field.0).and_then(read) {
            builder.set(field.1, text.into());
            members.remove(field.0);
        }
    }
    for (name, value) in members {
        match FIELDS.iter().find(|(known, _)| *known == name) {
            Some((_, field)) => builder.set(field, value),
            None => builder.set_unmapped(&name, value),
        }
    }
    time
}

/// `rabbitmq.connection`, also from its parts.
fn domain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) if !parts.is_empty() => {
            let parts: Option<Vec<&str>> = parts.iter().map(Value::as_str).collect();
            Some(parts?.join("."))
        }
        _ => None,
    }
}

/// `module:function/arity`, also from its parts.
fn function(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => match parts.as_slice() {
            [
                Value::String(module),
                Value::String(function),
                Value::Number(arity),
            ] => Some(format!("{module}:{function}/{arity}")),
            _ => None,
        },
        _ => None,
    }
}

/// The connection that a message is about.
#[derive(Debug, PartialEq, Eq)]
struct MessageConnection<'a> {
    pid: Option<&'a str>,
    address: &'a str,
    port: &'a str,
}

impl<'a> MessageConnection<'a> {
    /// `connection <0.1.0> (127.0.0.1:5 -> …`, of 4.x also without the pid.
    fn find(message: &'a str) -> Option<Self> {
        let word = "connection ";
        message
            .match_indices(word)
            .find_map(|(at, _)| Self::read(&message[at + word.len()..]))
    }

    fn read(text: &'a str) -> Option<Self> {
        let (pid, text) = match pid(text) {
            Some(pid) => (Some(pid), text[pid.len()..].strip_prefix(" (")?),
            None => (None, text),
        };
        let (address, rest) = match text.strip_prefix('[') {
            Some(v6) => v6.split_once(']')?,
            None => text.split_at(text.find(|c: char| c.is_whitespace() || ":()".contains(c))?),
        };
        let rest = rest.strip_prefix(':')?;
        let port = digits(rest);
        let is_one = !address.is_empty()
            && !address.contains(|c: char| c.is_whitespace())
            && !port.is_empty()
            && rest[port.len()..].starts_with(" -> ");
        is_one.then_some(Self { pid, address, port })
    }
}

/// `<0.885.0>`
fn pid(text: &str) -> Option<&str> {
    let mut rest = text.strip_prefix('<')?.as_bytes();
    for end in [b".", b".", b">"] {
        rest = after_digits(rest)?.strip_prefix(end)?;
    }
    text.get(..text.len() - rest.len())
}

/// The client's name of its connection.
fn client_name(message: &str) -> Option<&str> {
    let (_, name) = message.split_once("has a client-provided name: ")?;
    name.lines().next()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn connections() {
        let find = |text| {
            MessageConnection::find(text)
                .map(|found| (found.pid.unwrap_or_default(), found.address, found.port))
        };
        for (message, found) in [
            (
                "accepting AMQP connection <0.885.0> (127.0.0.1:40846 -> 127.0.0.1:5672)",
                Some(("<0.885.0>", "127.0.0.1", "40846")),
            ),
            (
                "closing AMQP connection <0.1.2> ([::1]:5 -> [::1]:5672 - name, vhost: '/', user: 'x')",
                Some(("<0.1.2>", "::1", "5")),
            ),
            (
                "connection 10.0.0.1:5 -> 10.0.0.2:5672 has a",
                Some(("", "10.0.0.1", "5")),
            ),
            ("connection lost; connection a:1 -> b", Some(("", "a", "1"))),
            ("connection <0.1.2> closed", None),
            ("connection <0.1> (1.1.1.1:5 -> x", None),
            ("connection 1.1.1.1: 5 -> x", None),
            ("connection (1.1.1.1:5 -> x", None),
            ("connection [a b]:5 -> x", None),
            ("no connection", None),
        ] {
            assert_eq!(find(message), found, "{message}");
        }
    }

    #[test]
    fn names_of_clients() {
        let message = "connection <0.1.2> (a:1 -> b:2) has a client-provided name: irmgard relay\nmore";
        assert_eq!(client_name(message), Some("irmgard relay"));
        assert_eq!(client_name("no name"), None);
    }

    #[test]
    fn parts_of_a_function_and_of_a_domain() {
        assert_eq!(function(&json!(["m", "f", 2])).as_deref(), Some("m:f/2"));
        assert_eq!(function(&json!("m:f/2")).as_deref(), Some("m:f/2"));
        assert_eq!(function(&json!(["m", "f"])), None);
        assert_eq!(
            domain(&json!(["rabbitmq", "queue"])).as_deref(),
            Some("rabbitmq.queue")
        );
        assert_eq!(domain(&json!([])), None);
    }
}
