//! The format of summaries.

use std::io::{self, Write};

use chrono::{DateTime, Local, Utc};
use log_normalizer::Time;
use serde_json::Value;

use crate::render::{OutputFormat, OutputWidth, Style};

/// Options of a summary's output.
#[derive(Clone, Copy, Debug)]
pub struct SummaryFormat {
    pub output: OutputFormat,
    /// Show times in UTC.
    pub utc: bool,
    pub width: OutputWidth,
    /// The reference for ages.
    pub now: Time,
}

impl SummaryFormat {
    #[must_use]
    pub fn from_style(style: &Style) -> Self {
        Self {
            output: style.output,
            utc: style.utc,
            width: OutputWidth::detect(),
            now: Time::from_nanos(Utc::now().timestamp_nanos_opt().unwrap_or_default()),
        }
    }

    /// Date and time with milliseconds.
    pub(super) fn datetime_millis(&self, time: Time) -> String {
        self.format_time(time, "%Y-%m-%d %H:%M:%S%.3f")
    }

    /// Date and time with seconds.
    pub(super) fn datetime_seconds(&self, time: Time) -> String {
        self.format_time(time, "%Y-%m-%d %H:%M:%S")
    }

    fn format_time(&self, time: Time, pattern: &str) -> String {
        let time = DateTime::from_timestamp_nanos(time.nanos());
        if self.utc {
            time.format(pattern).to_string()
        } else {
            time.with_timezone(&Local).format(pattern).to_string()
        }
    }

    /// Writes rows as a JSON array or JSON lines, if the output format is JSON. Returns whether it is.
    pub(super) fn json(&self, rows: impl FnOnce() -> Vec<Value>, out: &mut impl Write) -> io::Result<bool> {
        match self.output {
            OutputFormat::Json => writeln!(out, "{}", terminal::escaped(&Value::Array(rows()).to_string()))?,
            OutputFormat::Jsonl => {
                for row in rows() {
                    writeln!(out, "{}", terminal::escaped(&row.to_string()))?;
                }
            }
            OutputFormat::Pretty | OutputFormat::Logfmt | OutputFormat::Raw => return Ok(false),
        }
        Ok(true)
    }
}

/// A time in JSON: RFC 3339, UTC, milliseconds.
pub(super) fn json_time(time: Time) -> Value {
    let time = DateTime::from_timestamp_nanos(time.nanos());
    Value::String(time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}
