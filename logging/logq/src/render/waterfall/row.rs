//! The rows of a waterfall, in order.

use std::collections::HashMap;

use log_normalizer::{Document, Time};
use schema::field;
use serde_json::Value;

use crate::entry::Entry;

/// PostgreSQL's time resolution: the logged operation ended within this many nanoseconds after the time of its line.
const POSTGRESQL_NANOS: i64 = 1_000_000;

/// Longer durations are ignored.
const MAX_SECONDS: f64 = 1e6;

/// A line with the start and end of its operation.
pub struct WaterfallRow<'e> {
    pub document: &'e Document,
    pub begin: Time,
    pub end: Time,
    /// A line of the broker, which has no trace id.
    pub is_untraced: bool,
}

impl<'e> WaterfallRow<'e> {
    fn from_document(document: &'e Document) -> Option<Self> {
        let end = document.timestamp()?;
        Some(Self {
            document,
            begin: later(end, -duration(document)),
            end,
            is_untraced: document.trace_id().is_none(),
        })
    }

    pub fn component(&self) -> &'e str {
        self.document.component().unwrap_or("-")
    }

    pub fn pod(&self) -> Option<&'e str> {
        self.document.text(field::KUBERNETES_POD)
    }

    fn shift(&mut self, nanos: i64) {
        self.begin = later(self.begin, nanos);
        self.end = later(self.end, nanos);
    }
}

/// The rows by start; of equal starts, the longest first. Omits lines without a time.
pub fn rows(entries: &[Entry]) -> Vec<WaterfallRow<'_>> {
    let mut rows: Vec<WaterfallRow<'_>> = entries
        .iter()
        .filter_map(|entry| WaterfallRow::from_document(&entry.document))
        .collect();
    order_sessions(&mut rows);
    rows.sort_by_key(|row| (row.begin, std::cmp::Reverse(row.end)));
    rows
}

/// Separates the rows of a PostgreSQL session. It runs one statement at a time, but its times are in milliseconds, so
/// rows may overlap: move a row behind its predecessor.
fn order_sessions<'e>(rows: &mut [WaterfallRow<'e>]) {
    type Numbered<'r, 'e> = Vec<(i64, &'r mut WaterfallRow<'e>)>;
    let mut sessions: HashMap<(Option<&str>, &str), Numbered<'_, 'e>> = HashMap::new();
    for row in rows {
        let document = row.document;
        let session = document.text(field::POSTGRESQL_SESSION_ID);
        let number = document
            .get(field::POSTGRESQL_LINE_NUMBER)
            .and_then(Value::as_i64);
        if let (Some(session), Some(number)) = (session, number) {
            let lines = sessions.entry((row.pod(), session)).or_default();
            lines.push((number, row));
        }
    }
    for mut lines in sessions.into_values() {
        lines.sort_by_key(|(number, _)| *number);
        let mut before: Option<Time> = None;
        for (_, row) in lines {
            let missing = before.map_or(0, |before| before.nanos() - row.begin.nanos());
            row.shift(missing.clamp(0, POSTGRESQL_NANOS - 1));
            before = before.max(Some(row.end));
        }
    }
}

/// From the first start to the last end. Ignores lines without a trace id unless there are no others.
pub fn span(rows: &[WaterfallRow<'_>]) -> Option<(Time, Time)> {
    let alone = rows.iter().all(|row| row.is_untraced);
    let shown_rows = || rows.iter().filter(|row| alone || !row.is_untraced);
    let first = shown_rows().map(|row| row.begin).min()?;
    let last = shown_rows().map(|row| row.end).max()?;
    Some((first, last))
}

/// Duration of the operation, nanoseconds.
fn duration(document: &Document) -> i64 {
    nanos(document, field::DURATION_SECONDS).unwrap_or_default()
}

/// A field in seconds, converted to nanoseconds.
#[expect(clippy::cast_possible_truncation, reason = "far below 2^63")]
pub fn nanos(document: &Document, name: &str) -> Option<i64> {
    document
        .get(name)
        .and_then(Value::as_f64)
        .filter(|seconds| (0.0..MAX_SECONDS).contains(seconds))
        .map(|seconds| (seconds * 1e9).round() as i64)
}

fn later(time: Time, nanos: i64) -> Time {
    Time::from_nanos(time.nanos().saturating_add(nanos).max(0))
}
