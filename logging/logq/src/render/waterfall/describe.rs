//! Describes a line of a trace in short.

use log_normalizer::Document;
use schema::{FIELDS, field, level};
use serde_json::Value;
use terminal::escaped;

use super::{
    super::{duration::format_nanos, output_width::one_line},
    row::nanos,
};

/// Prefix of PostgreSQL's statement messages.
const DURATION: &str = "duration: ";

/// Prefix and suffix of the fields with a job's stages.
const STAGE: (&str, &str) = ("stage.", "_seconds");

/// The event in one line: a statement, a request, or the message.
pub fn describe(document: &Document) -> String {
    if let Some(statement) = statement(document) {
        return statement;
    }
    let message = one_line(document.message());
    match request(document) {
        Some(request) if message.is_empty() => request,
        Some(request) => format!("{request}  {message}"),
        None => message,
    }
}

/// The level, if it must be visible without colours.
pub fn severity_mark(document: &Document) -> Option<&'static str> {
    match document.level()? {
        level::ERROR => Some("ERROR"),
        level::WARN => Some("WARN"),
        _ => None,
    }
}

/// The known reasons of a failure.
pub fn failure_reason(document: &Document) -> Option<String> {
    let text = |name| document.text(name).map(one_line).filter(|text| !text.is_empty());
    let named = |name, field| Some(format!("{name} {}", text(field)?));
    let reason = match (text(field::FAILURE_REASON), text(field::FAILURE_DETAIL)) {
        (Some(reason), Some(detail)) => Some(format!("{reason}: {detail}")),
        (reason, detail) => reason.or(detail),
    };
    let failed_statement = named("statement", field::DB_QUERY_TEXT).filter(|_| statement(document).is_none());
    let parts = [
        reason,
        text(field::PROBLEM_CODE),
        text(field::ERROR_MESSAGE).or_else(|| text(field::ERROR_TYPE)),
        named("SQLSTATE", field::DB_RESPONSE_STATUS_CODE),
        named("detail:", field::POSTGRESQL_DETAIL),
        named("hint:", field::POSTGRESQL_HINT),
        failed_statement,
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(" · "))
}

/// The duration of each stage of a job, in stage order.
pub fn stage_durations(document: &Document) -> Option<String> {
    let stages = FIELDS.iter().filter_map(|field| {
        let name = field.name.strip_prefix(STAGE.0)?.strip_suffix(STAGE.1)?;
        Some(format!("{name} {}", format_nanos(nanos(document, field.name)?)))
    });
    let stages: Vec<String> = stages.collect();
    (!stages.is_empty()).then(|| stages.join(" · "))
}

/// `execute INSERT INTO …`, without the duration, which has its own column, and the name of the prepared statement.
fn statement(document: &Document) -> Option<String> {
    let text = document.text(field::DB_QUERY_TEXT)?;
    let (_, rest) = document.message().strip_prefix(DURATION)?.split_once(" ms  ")?;
    let text = one_line(text);
    Some(match rest.split([' ', ':']).next()? {
        "statement" => text,
        step => format!("{} {text}", escaped(step)),
    })
}

/// For example `POST /photos 202`.
fn request(document: &Document) -> Option<String> {
    let status = document.get(field::HTTP_RESPONSE_STATUS_CODE)?;
    let status = status.as_u64().or_else(|| status.as_str()?.parse().ok())?;
    let text = |name| document.get(name).and_then(Value::as_str);
    let parts = [field::HTTP_REQUEST_METHOD, field::HTTP_ROUTE]
        .into_iter()
        .filter_map(text);
    let parts: Vec<String> = parts.map(one_line).chain([status.to_string()]).collect();
    Some(parts.join(" "))
}
