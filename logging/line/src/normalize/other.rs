//! JSON objects of programs that nothing is known of.

use schema::field;
use serde_json::{Map, Value};

use super::{draft::Draft, level};
use crate::Time;

const MESSAGES: [&str; 4] = ["message", "msg", "log", "event"];
/// The last is Elastic's; it is written as an object, too.
const LEVELS: [&str; 5] = ["level", "severity", "lvl", "loglevel", "log.level"];
const TIMES: [&str; 4] = ["@timestamp", "timestamp", "time", TS];
/// zap writes seconds since 1970 here. A number under another name may count
/// milliseconds, or from the program's start.
const TS: &str = "ts";
/// pino writes milliseconds since 1970 here, beside a level that is a number.
const TIME: &str = "time";
/// OpenTelemetry's name, Elastic's, and that of Spring's loggers.
const TRACES: [&str; 3] = [field::TRACE_ID, "trace.id", "traceId"];
/// Google's: `projects/<project>/traces/<id>`.
const GOOGLE_TRACE: &str = "logging.googleapis.com/trace";

/// Takes what is surely a message, a level, a time or a trace id, and keeps
/// all other members in `fields`; returns the program's own time. `text` is the
/// whole line, `claims`: whether it may say whose it is.
pub(super) fn read(draft: &mut Draft, members: Map<String, Value>, text: &str, claims: bool) -> Option<Time> {
    let told = |name: &str| members.get(name).and_then(Value::as_str);
    let message = MESSAGES.into_iter().find(|name| told(name).is_some());
    draft.field(field::MESSAGE, message.and_then(told).unwrap_or(text).into());
    let nested = members.get("log").and_then(|log| log.get("level"));
    let level = LEVELS
        .into_iter()
        .filter_map(|name| members.get(name))
        .chain(nested)
        .find_map(level_of);
    if let Some(level) = level {
        draft.text(field::LEVEL, level);
    }
    let nested = members.get("trace").and_then(|trace| trace.get("id"));
    let google = told(GOOGLE_TRACE).and_then(|name| name.rsplit('/').next());
    let trace = TRACES
        .into_iter()
        .filter_map(told)
        .chain(nested.and_then(Value::as_str))
        .chain(google)
        .find_map(trace_id);
    if let Some(trace) = trace {
        draft.text(field::TRACE_ID, &trace);
    }
    if let Some(component) = told(field::COMPONENT).filter(|_| claims) {
        draft.text(field::COMPONENT, component);
    }
    let time = TIMES.into_iter().find_map(|name| match members.get(name)? {
        Value::String(text) => Time::parse(text),
        Value::Number(seconds) if name == TS => Time::from_seconds(seconds.as_f64()?),
        Value::Number(millis) if name == TIME && has_number(&members) => {
            Time::from_seconds(millis.as_f64()? / 1_000.0)
        }
        _ => None,
    });
    for (name, value) in members {
        if Some(name.as_str()) != message {
            draft.other(&name, value);
        }
    }
    time
}

/// Whether its level is a number, as pino has it.
fn has_number(members: &Map<String, Value>) -> bool {
    let number = members.get("level").and_then(Value::as_i64);
    number.and_then(level::of_number).is_some()
}

fn level_of(value: &Value) -> Option<&'static str> {
    match value {
        Value::String(word) => level::of_word(word),
        Value::Number(number) => level::of_number(number.as_i64()?),
        _ => None,
    }
}

/// A trace id in lower case: 32 hex digits, not all zero (W3C Trace Context).
pub(super) fn trace_id(text: &str) -> Option<String> {
    let is_one = text.len() == 32
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        && text.bytes().any(|byte| byte != b'0');
    is_one.then(|| text.to_ascii_lowercase())
}
