//! One log line: a JSON object of the shape that the whole system shares.

pub(crate) mod json;
mod tree;
pub(crate) mod value;

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use opentelemetry::trace::{SpanId, TraceContextExt, TraceId};
use schema::{MAX_LINE_BYTES, field};
use tracing::Level;

use self::value::{Fields, Text};

/// Maximum length of each text, bytes. The first limit with which the line fits is used.
const TEXT_LIMITS: [usize; 5] = [8192, 2048, 512, 128, 32];

/// Room for what ends a line.
const END: &str = ",\"truncated\":true}\n";

/// The ids in the lines of a span. The span caches them after its first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanIds {
    pub(crate) trace: TraceId,
    pub(crate) span: SpanId,
}

impl SpanIds {
    pub(crate) fn from_context(context: &opentelemetry::Context) -> Option<Self> {
        let span = context.span();
        let span = span.span_context();
        span.is_valid().then(|| Self {
            trace: span.trace_id(),
            span: span.span_id(),
        })
    }
}

pub(crate) struct Line<'a> {
    pub(crate) time: DateTime<Utc>,
    pub(crate) level: Level,
    pub(crate) target: &'a str,
    pub(crate) identity: Option<SpanIds>,
    /// Members of every line of the process: component, service.
    pub(crate) service: &'a str,
    /// The member `kubernetes`, or nothing.
    pub(crate) kubernetes: &'a str,
    /// The fields of the event and its spans.
    pub(crate) fields: &'a Fields,
}

impl Line<'_> {
    /// Writes the line with its newline: valid JSON, shorter than [`MAX_LINE_BYTES`] whatever the fields hold.
    pub(crate) fn write(&self, out: &mut String) {
        let tree = tree::nest(self.fields.named.iter().map(|(name, value)| (*name, value)));
        for limit in TEXT_LIMITS {
            out.clear();
            let mut cut = self.head(out, limit);
            for (name, node) in &tree.children {
                out.push(',');
                cut |= json::member(out, name, node, limit);
            }
            cut |= self.tail(out, limit);
            if out.len() + END.len() < MAX_LINE_BYTES {
                end(out, cut);
                return;
            }
        }
        self.write_what_fits(out, &tree);
    }

    /// Writes as many fields as fit, in their order, if even short values are too many.
    fn write_what_fits(&self, out: &mut String, tree: &tree::FieldTree<'_>) {
        let limit = TEXT_LIMITS[TEXT_LIMITS.len() - 1];
        let mut tail = String::new();
        self.tail(&mut tail, limit);
        out.clear();
        self.head(out, limit);
        let mut member = String::new();
        for (name, node) in &tree.children {
            member.clear();
            member.push(',');
            json::member(&mut member, name, node, limit);
            if out.len() + member.len() + tail.len() + END.len() < MAX_LINE_BYTES {
                out.push_str(&member);
            }
        }
        out.push_str(&tail);
        end(out, true);
    }

    fn head(&self, out: &mut String, limit: usize) -> bool {
        let level = match self.level {
            Level::ERROR => schema::level::ERROR,
            Level::WARN => schema::level::WARN,
            Level::INFO => schema::level::INFO,
            Level::DEBUG => schema::level::DEBUG,
            Level::TRACE => schema::level::TRACE,
        };
        let time = self.time.to_rfc3339_opts(SecondsFormat::Micros, true);
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            r#"{{"{}":"{time}","{}":"{level}","{}":"#,
            field::TIMESTAMP,
            field::LEVEL,
            field::MESSAGE,
        );
        let nothing = Text::default();
        let cut = json::text(out, self.fields.message.as_ref().unwrap_or(&nothing), limit);
        let _ = write!(out, ",{}", self.service);
        if let Some(identity) = self.identity {
            let _ = write!(
                out,
                r#","{}":"{}","{}":"{}""#,
                field::TRACE_ID,
                identity.trace,
                field::SPAN_ID,
                identity.span
            );
        }
        if !self.kubernetes.is_empty() {
            let _ = write!(out, ",{}", self.kubernetes);
        }
        cut
    }

    fn tail(&self, out: &mut String, limit: usize) -> bool {
        let _ = write!(out, ",\"{}\":", field::TARGET);
        json::text(out, &Text::new(self.target), limit.min(256))
    }
}

fn end(out: &mut String, cut: bool) {
    if cut {
        out.push_str(END);
    } else {
        out.push_str("}\n");
    }
}

#[cfg(test)]
mod tests;
