//! Trace and span of a log line.

use opentelemetry::trace::{SpanId, TraceContextExt, TraceId};

/// The ids that a line within a span carries. They are kept with the span, so
/// that only its first line asks for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) trace: TraceId,
    pub(crate) span: SpanId,
}

impl Identity {
    pub(crate) fn of(context: &opentelemetry::Context) -> Option<Self> {
        let span = context.span();
        let span = span.span_context();
        span.is_valid().then(|| Self {
            trace: span.trace_id(),
            span: span.span_id(),
        })
    }
}
