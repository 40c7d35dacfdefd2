//! PostgreSQL's jsonlog (its documentation, section 19.8.3.2).

use schema::{component, field, level};
use serde_json::{Map, Value};

use super::{draft::Draft, other};
use crate::{Time, prefix::digits};

/// Where each member goes that has a field.
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

/// Numbers that say nothing when they are 0.
const NONE_IF_ZERO: [&str; 2] = ["query_id", "txid"];

/// SQLSTATE of what went well.
const SUCCESSFUL_COMPLETION: &str = "00000";

pub(super) fn is_one(members: &Map<String, Value>) -> bool {
    ["timestamp", "error_severity", "message"]
        .into_iter()
        .all(|name| members.get(name).is_some_and(Value::is_string))
}

/// Takes every member; returns PostgreSQL's own time.
pub(super) fn read(draft: &mut Draft, mut members: Map<String, Value>) -> Option<Time> {
    draft.text(field::DB_SYSTEM_NAME, "postgresql");
    let told = |name: &str| members.get(name).and_then(Value::as_str);
    if let Some(level) = told("error_severity").and_then(level) {
        draft.text(field::LEVEL, level);
    }
    if let Some(trace) = told("application_name").and_then(trace_id) {
        draft.text(field::TRACE_ID, &trace);
    }
    if let Some((seconds, query)) = told("message").and_then(duration) {
        draft.field(field::DURATION_SECONDS, seconds.into());
        let statement = members.get("statement");
        if !statement.is_some_and(|statement| says_something("statement", statement)) {
            draft.text(field::DB_QUERY_TEXT, query);
        }
    }
    let time = told("timestamp").and_then(time);
    if time.is_some() {
        members.remove("timestamp");
    }
    for (name, value) in members {
        let field = FIELDS.iter().find(|(known, _)| *known == name);
        match field.map(|(_, field)| *field) {
            Some(field) if says_something(&name, &value) => draft.field(field, value),
            Some(_) => {}
            None if says_something(&name, &value) => draft.other(&name, value),
            None => {}
        }
    }
    time
}

fn says_something(name: &str, value: &Value) -> bool {
    let is_field = FIELDS.iter().any(|(known, _)| *known == name);
    match value {
        Value::String(text) if name == "state_code" => text != SUCCESSFUL_COMPLETION && !text.is_empty(),
        Value::String(text) => !text.is_empty() || name == "message",
        Value::Number(number) if !is_field || NONE_IF_ZERO.contains(&name) => number.as_f64() != Some(0.0),
        value => !value.is_null(),
    }
}

/// A time in `log_timezone`, which is UTC.
fn time(text: &str) -> Option<Time> {
    let utc = text.strip_suffix(" UTC").or_else(|| text.strip_suffix(" GMT"));
    match utc {
        Some(utc) => Time::parse(&format!("{utc}Z")),
        None => Time::parse(text),
    }
}

fn level(severity: &str) -> Option<&'static str> {
    match severity {
        "DEBUG1" | "DEBUG2" | "DEBUG3" | "DEBUG4" | "DEBUG5" => Some(level::DEBUG),
        "LOG" | "INFO" | "NOTICE" => Some(level::INFO),
        "WARNING" => Some(level::WARN),
        "ERROR" | "FATAL" | "PANIC" => Some(level::ERROR),
        _ => None,
    }
}

/// The trace of a connection that irmgard has named after it, `irmgard <id>`.
fn trace_id(application_name: &str) -> Option<String> {
    let id = application_name
        .strip_prefix(component::IRMGARD)?
        .strip_prefix(' ')?;
    other::trace_id(id).filter(|lower| lower == id)
}

/// `duration: N ms`, alone or with what took so long: seconds, and the
/// statement if it is there.
fn duration(message: &str) -> Option<(f64, &str)> {
    let rest = message.strip_prefix("duration: ")?;
    let whole = digits(rest);
    let number = match rest[whole.len()..].strip_prefix('.').map(digits) {
        Some(fraction) if !fraction.is_empty() && !whole.is_empty() => {
            &rest[..whole.len() + 1 + fraction.len()]
        }
        _ => whole,
    };
    // Not divided: what is written with three digits shall be read with six.
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

/// What follows `statement: `, `execute NAME: `, `parse NAME: ` or `bind NAME: `.
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
    fn times_in_utc() {
        for text in [
            "2026-11-22 10:49:43.101 UTC",
            "2026-11-22 10:49:43.101 GMT",
            "2026-11-22T10:49:43.101Z",
        ] {
            let read = time(text).map(|time| time.to_string());
            assert_eq!(read.as_deref(), Some("2026-11-22T10:49:43.101000000Z"), "{text}");
        }
        for text in [
            "2026-11-22 10:49:43.101 CET",
            "2026-11-22 10:49:43.101",
            "2026-11-22T10:49:43Z UTC",
        ] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn durations() {
        for (message, told) in [
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
            assert_eq!(duration(message), told, "{message}");
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
