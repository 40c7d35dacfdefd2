//! The trace that a request or a message belongs to: W3C Trace Context.
//!
//! In: [`TraceContext::extract`] from headers, then [`set_parent`] on a span that has not been entered and has written
//! no line. Out: [`TraceContext::current`] or [`current_traceparent`].

use std::{fmt, str::FromStr};

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Header of the trace and the calling span.
pub const TRACEPARENT: &str = "traceparent";

/// Header of vendors' data about the trace.
pub const TRACESTATE: &str = "tracestate";

/// Longest `tracestate` that is passed on; the recommendation asks for at least 512 bytes.
const MAX_TRACESTATE_BYTES: usize = 512;

/// A span of a trace, in the form that processes exchange.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceContext(SpanContext);

/// The text is not a `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a traceparent is 00-<32 hex digits>-<16 hex digits>-<2 hex digits>")]
pub struct InvalidTraceparent;

impl TraceContext {
    /// Reads the headers `traceparent` and `tracestate` through `header`.
    /// `None` if there is no valid `traceparent`: the work then begins a new trace. An invalid `tracestate` is left out.
    #[must_use]
    pub fn extract(header: impl Fn(&str) -> Option<String>) -> Option<Self> {
        Self::parse(&header(TRACEPARENT)?, header(TRACESTATE).as_deref())
    }

    /// The same from the headers' values.
    #[must_use]
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let (trace, span, flags) = parse_traceparent(traceparent)?;
        let state = tracestate
            .filter(|state| state.len() <= MAX_TRACESTATE_BYTES)
            .and_then(|state| TraceState::from_str(state.trim()).ok())
            .unwrap_or_default();
        Some(Self(SpanContext::new(trace, span, flags, true, state)))
    }

    /// The current span; `None` outside of any span.
    #[must_use]
    pub fn current() -> Option<Self> {
        Self::from_span(&Span::current())
    }

    /// A span; `None` if it is disabled.
    #[must_use]
    pub fn from_span(span: &Span) -> Option<Self> {
        let context = span.context();
        let context = context.span().span_context().clone();
        context.is_valid().then_some(Self(context))
    }

    /// The header `traceparent`.
    #[must_use]
    pub fn traceparent(&self) -> String {
        format!(
            "00-{}-{}-{:02x}",
            self.0.trace_id(),
            self.0.span_id(),
            self.0.trace_flags().to_u8() & TraceFlags::SAMPLED.to_u8()
        )
    }

    /// The header `tracestate`; `None` where it would be empty.
    #[must_use]
    pub fn tracestate(&self) -> Option<String> {
        Some(self.0.trace_state().header()).filter(|state| !state.is_empty())
    }

    /// The trace's id, 32 hex digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        self.0.trace_id().to_string()
    }

    /// Whether the process that began the trace exports it.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.0.is_sampled()
    }

    /// Hands each header (name, value) to `header`.
    pub fn inject(&self, mut header: impl FnMut(&'static str, String)) {
        header(TRACEPARENT, self.traceparent());
        if let Some(state) = self.tracestate() {
            header(TRACESTATE, state);
        }
    }
}

impl FromStr for TraceContext {
    type Err = InvalidTraceparent;

    fn from_str(traceparent: &str) -> Result<Self, InvalidTraceparent> {
        Self::parse(traceparent, None).ok_or(InvalidTraceparent)
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.traceparent())
    }
}

/// W3C Trace Context, 3.2.2: version 00 has exactly four parts; a later one begins with the same four and may have
/// more; version ff, ids of zeros only, and upper-case digits are invalid.
fn parse_traceparent(text: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    let text = text.trim_matches([' ', '\t']);
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if hex(version, 2)? == 0xff || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let trace = TraceId::from(hex(trace, 32)?);
    let span = SpanId::from(u64::try_from(hex(span, 16)?).ok()?);
    let sampled = hex(flags, 2)? & 1 == 1;
    (trace != TraceId::INVALID && span != SpanId::INVALID).then_some((
        trace,
        span,
        TraceFlags::default().with_sampled(sampled),
    ))
}

fn hex(text: &str, digits: usize) -> Option<u128> {
    let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    (text.len() == digits && text.bytes().all(lower)).then(|| u128::from_str_radix(text, 16).ok())?
}

/// Makes a span part of the trace of a request or a message. Returns false if the span was entered or has written a
/// line: then it has its ids already.
pub fn set_parent(span: &Span, parent: &TraceContext) -> bool {
    let context = opentelemetry::Context::new().with_remote_span_context(parent.0.clone());
    span.set_parent(context).is_ok()
}

/// The current trace's id, 32 hex digits; `None` outside of any span.
#[must_use]
pub fn current_trace_id() -> Option<String> {
    TraceContext::current().map(|context| context.trace_id())
}

/// `traceparent` of the current span; `None` outside of any.
#[must_use]
pub fn current_traceparent() -> Option<String> {
    TraceContext::current().map(|context| context.traceparent())
}
