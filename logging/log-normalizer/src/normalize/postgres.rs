//! PostgreSQL's jsonlog (its documentation, section 19.8.3.2).

use schema::{component, field, level};
use serde_json::{Map, Value};

use super::{
    document_builder::DocumentBuilder,
    foreign,
    level::{self as words, LevelPosition},
};
use crate::{Time, json, prefix::digits};

/// The field of each member that has one.
const FIELDS: [(&str, &str); 21] = [
    ("message", field::MESSAGE),
    ("error_severity", field::POSTGRESQL_SEVERITY),
    ("state_code", field::DB_RESPONSE_STATUS_CODE),
    ("dbname", field::DB_NAMESPACE),
    ("statement", field::DB_QUERY_TEXT),
    ("pid", field::PROCESS_PID),
    ("remote_host", field::CLIENT_ADDRESS),
    ("remote_port", field::CLIENT_PORT),
    ("user", field::POSTGRESQL_USER),
    ("application_name", field::POSTGRESQL_APPLICATION_NAME),
    ("backend_type", field::POSTGRESQL_BACKEND_TYPE),
    ("session_id", field::POSTGRESQL_SESSION_ID),
    ("line_num", field::POSTGRESQL_LINE_NUMBER),
    ("query_id", field::POSTGRESQL_QUERY_ID),
    ("detail", field::POSTGRESQL_DETAIL),
    ("hint", field::POSTGRESQL_HINT),
    ("context", field::POSTGRESQL_CONTEXT),
    ("internal_query", field::POSTGRESQL_INTERNAL_QUERY),
    ("ps", field::POSTGRESQL_PS),
    ("vxid", field::POSTGRESQL_VIRTUAL_TRANSACTION_ID),
    ("txid", field::POSTGRESQL_TRANSACTION_ID),
];

/// Numbers that are meaningless if they are 0.
const NONE_IF_ZERO: [&str; 2] = ["query_id", "txid"];

/// SQLSTATE of success.
const SUCCESSFUL_COMPLETION: &str = "00000";

pub(super) fn is_jsonlog(members: &json::Object<'_>) -> bool {
    ["timestamp", "error_severity", "message"]
        .into_iter()
        .all(|name| members.get(name).is_some_and(json::Value::is_string))
}

/// Reads every member; returns PostgreSQL's time.
pub(super) fn read(builder: &mut DocumentBuilder, mut members: Map<String, Value>) -> Option<Time> {
    builder.set_text(field::DB_SYSTEM_NAME, "postgresql");
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    if let Some(level) = text("error_severity").and_then(level) {
        builder.set_text(field::LEVEL, level);
    }
    if let Some(trace) = text("application_name").and_then(trace_id) {
        builder.set_text(field::TRACE_ID, &trace);
    }
    if let Some((seconds, query)) = text("message").and_then(duration) {
        builder.set(field::DURATION_SECONDS, seconds.into());
        let statement = members.get("statement");
        if !statement.is_some_and(|statement| is_meaningful("statement", statement)) {
            builder.set_text(field::DB_QUERY_TEXT, query);
        }
    }
    let time = text("timestamp").and_then(Time::from_text);
    if time.is_some() {
        members.remove("timestamp");
    }
    for (name, value) in members {
        let field = FIELDS.iter().find(|(known, _)| *known == name);
        match field.map(|(_, field)| *field) {
            Some(field) if is_meaningful(&name, &value) => builder.set(field, value),
            Some(_) => {}
            None if is_meaningful(&name, &value) => builder.set_unmapped(&name, value),
            None => {}
        }
    }
    time
}

fn is_meaningful(name: &str, value: &Value) -> bool {
    let is_field = FIELDS.iter().any(|(known, _)| *known == name);
    match value {
        Value::String(text) if name == "state_code" => text != SUCCESSFUL_COMPLETION && !text.is_empty(),
        Value::String(text) => !text.is_empty() || name == "message",
        Value::Number(number) if !is_field || NONE_IF_ZERO.contains(&name) => number.as_f64() != Some(0.0),
        value => !value.is_null(),
    }
}

fn level(severity: &str) -> Option<&'static str> {
    match severity {
        "LOG" => Some(level::INFO),
        word => words::from_word(word, LevelPosition::Member),
    }
}

/// The trace id in the name that irmgard gives a connection, `irmgard <id>`.
fn trace_id(application_name: &str) -> Option<String> {
    let id = application_name
        .strip_prefix(component::IRMGARD)?
        .strip_prefix(' ')?;
    foreign::trace_id(id).filter(|lower| lower == id)
}

/// `duration: N ms`, alone or before a statement: seconds, and the statement.
fn duration(message: &str) -> Option<(f64, &str)> {
    let rest = message.strip_prefix("duration: ")?;
    let whole = digits(rest);
    let number = match rest[whole.len()..].strip_prefix('.').map(digits) {
        Some(fraction) if !fraction.is_empty() && !whole.is_empty() => {
            &rest[..whole.len() + 1 + fraction.len()]
        }
        _ => whole,
    };
    // Parsed, not divided: three digits of milliseconds are six of seconds.
    let seconds = format!("{number}e-3")
        .parse()
        .ok()
        .filter(|_| !number.is_empty())?;
    let rest = rest[number.len()..].strip_prefix(" ms")?;
    let query = if rest.is_empty() {
        ""
    } else {
        query(rest.strip_prefix("  ")?)?
    };
    Some((seconds, query))
}

/// The text after `statement: `, `execute NAME: `, `parse NAME: ` or `bind NAME: `.
fn query(text: &str) -> Option<&str> {
    if let Some(query) = text.strip_prefix("statement: ") {
        return Some(query);
    }
    ["execute ", "parse ", "bind "]
        .into_iter()
        .find_map(|step| text.strip_prefix(step))
        .and_then(|named| named.split_once(": "))
        .map(|(_, query)| query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (message, expected) in [
            ("duration: 6.935 ms", Some((0.006_935, ""))),
            (
                "duration: 5 ms  statement: SELECT 1: 2",
                Some((0.005, "SELECT 1: 2")),
            ),
            (
                "duration: 0.5 ms  execute <unnamed>: SELECT\n1",
                Some((0.0005, "SELECT\n1")),
            ),
            ("duration: 0.5 ms  bind s_1/p: BEGIN", Some((0.0005, "BEGIN"))),
            ("duration: 0.5 ms  parse x: ", Some((0.0005, ""))),
            ("duration: 0.5 ms  fetch x: y", None),
            ("duration: 0.5 ms statement: x", None),
            ("duration: x ms", None),
            ("duration: 1. ms", None),
            ("duration: .5 ms", None),
            ("a duration: 1 ms", None),
        ] {
            assert_eq!(duration(message), expected, "{message}");
        }
    }

    #[test]
    fn the_trace_of_a_named_connection() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(trace_id(&format!("irmgard {id}")).as_deref(), Some(id));
        for name in [
            "irmgard".to_owned(),
            id.to_owned(),
            format!("irmgard {}", id.to_uppercase()),
            format!("irmgard {id} "),
            format!("irmgard2 {id}"),
            format!("irmgard {}", "0".repeat(32)),
        ] {
            assert_eq!(trace_id(&name), None, "{name}");
        }
    }
}
