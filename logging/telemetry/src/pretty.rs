//! Lines for people at a terminal.

use std::fmt::Write as _;

use chrono::{Local, SecondsFormat};
use tracing::Level;

use crate::line::{
    Line, json,
    value::{RecordedValue, Text},
};

/// Bytes of one text that are shown.
const MAX_TEXT_BYTES: usize = 2048;

/// Writes `time LEVEL target: message name=value …` with its newline; control
/// characters are escaped, so that no field can drive the terminal.
pub(crate) fn write(line: &Line<'_>, out: &mut String, colour: bool) {
    out.clear();
    let (dim, reset) = if colour { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
    let paint = match line.level {
        _ if !colour => "",
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        _ => "\x1b[36m",
    };
    let time = line
        .time
        .with_timezone(&Local)
        .to_rfc3339_opts(SecondsFormat::Millis, false);
    let clock = time.get(11..23).unwrap_or(&time);
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "{dim}{clock}{reset} {paint}{:>5}{reset} {dim}{}:{reset} ",
        line.level.as_str(),
        line.target
    );
    if let Some(message) = &line.fields.message {
        bare(out, message);
    }
    for (name, value) in &line.fields.named {
        let _ = write!(out, " {dim}{name}={reset}");
        match value {
            RecordedValue::Text(text) if text.prefix.contains([' ', '"']) || text.prefix.is_empty() => {
                json::text(out, text, MAX_TEXT_BYTES);
            }
            RecordedValue::Text(text) => bare(out, text),
            other => {
                json::value(out, other, MAX_TEXT_BYTES);
            }
        }
    }
    if let Some(identity) = line.identity {
        let _ = write!(out, " {dim}trace_id={}{reset}", identity.trace);
    }
    out.push('\n');
}

/// The text as in JSON, without its quotes.
fn bare(out: &mut String, text: &Text) {
    let start = out.len();
    json::text(out, text, MAX_TEXT_BYTES);
    out.pop();
    out.remove(start);
}
