//! The `tracing` layer that writes lines.

use std::{
    cell::Cell,
    io::Write,
    sync::{Mutex, OnceLock, PoisonError},
};

use chrono::Utc;
use tracing::{
    Dispatch, Event, Subscriber,
    dispatcher::WeakDispatch,
    span::{Attributes, Id, Record},
};
use tracing_log::NormalizeEvent;
use tracing_subscriber::{
    Layer,
    layer::Context,
    registry::{LookupSpan, SpanRef},
};

use crate::{
    line::{Line, SpanIds, value::Fields},
    pretty,
    settings::LineFormat,
};

/// The output stream of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, where the lines of services are collected.
    #[default]
    Stdout,
    /// Standard error, for commands that write their result to standard output.
    Stderr,
}

/// The destination of lines.
pub(crate) enum Sink {
    Stream(Stream),
    Writer(Mutex<Box<dyn Write + Send>>),
}

impl Sink {
    /// Writes a line with one write under a lock, so that lines of several threads never mix. Errors (closed pipe, full
    /// disk) are ignored: they must not end the program, and there is nowhere to report them.
    fn write(&self, line: &str) {
        let line = line.as_bytes();
        let _ = match self {
            Self::Stream(Stream::Stdout) => std::io::stdout().lock().write_all(line),
            Self::Stream(Stream::Stderr) => std::io::stderr().lock().write_all(line),
            Self::Writer(writer) => writer
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .write_all(line),
        };
    }
}

thread_local! {
    /// The buffer of the last line, for the next one.
    static BUFFER: Cell<String> = const { Cell::new(String::new()) };
}

/// Writes a line for each event, with the fields of its spans.
pub(crate) struct LineLayer {
    pub(crate) format: LineFormat,
    pub(crate) colour: bool,
    pub(crate) sink: Sink,
    pub(crate) service: String,
    pub(crate) kubernetes: String,
    pub(crate) dispatch: OnceLock<WeakDispatch>,
}

impl LineLayer {
    /// The span's ids; the span caches them.
    ///
    /// Invariant: never read while OpenTelemetry itself logs, because it may hold the span's lock.
    fn identity<'a, S: LookupSpan<'a>>(&self, span: &SpanRef<'a, S>, target: &str) -> Option<SpanIds> {
        if let Some(cached) = span.extensions().get::<SpanIds>() {
            return Some(*cached);
        }
        if target.starts_with("opentelemetry") {
            return None;
        }
        let dispatch = self.dispatch.get()?.upgrade()?;
        let context = tracing_opentelemetry::get_otel_context(&span.id(), &dispatch)?;
        let identity = SpanIds::from_context(&context)?;
        span.extensions_mut().replace(identity);
        Some(identity)
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LineLayer {
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        let _ = self.dispatch.set(dispatch.downgrade());
    }

    fn on_new_span(&self, attrs: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        let mut fields = Fields::default();
        attrs.record(&mut fields);
        span.extensions_mut().replace(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        let mut more = Fields::default();
        values.record(&mut more);
        let mut extensions = span.extensions_mut();
        if let Some(fields) = extensions.get_mut::<Fields>() {
            for (name, value) in more.named {
                fields.set(name, value);
            }
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let bridged = event.normalized_metadata();
        let metadata = bridged.as_ref().unwrap_or_else(|| event.metadata());
        let span = ctx.event_span(event);
        let mut fields = Fields::default();
        for span in span
            .iter()
            .flat_map(SpanRef::scope)
            .collect::<Vec<_>>()
            .iter()
            .rev()
        {
            if let Some(outer) = span.extensions().get::<Fields>() {
                for (name, value) in &outer.named {
                    fields.set(name, value.clone());
                }
            }
        }
        event.record(&mut fields);
        let line = Line {
            time: Utc::now(),
            level: *metadata.level(),
            target: metadata.target(),
            identity: span
                .as_ref()
                .and_then(|span| self.identity(span, metadata.target())),
            service: &self.service,
            kubernetes: &self.kubernetes,
            fields: &fields,
        };
        // Taken, not borrowed: a line within a line finds an empty buffer.
        let mut out = BUFFER.take();
        match self.format {
            LineFormat::Json => line.write(&mut out),
            LineFormat::Pretty => pretty::write(&line, &mut out, self.colour),
        }
        self.sink.write(&out);
        BUFFER.set(out);
    }
}
