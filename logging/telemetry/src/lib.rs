//! Log lines, traces, and their propagation between processes.
//!
//! ```no_run
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let _telemetry = telemetry::init(telemetry::Service::new("irmgard", env!("CARGO_PKG_VERSION")))?;
//!     tracing::info!(photo.id = 17, "stored original");
//!     Ok(())
//! }
//! ```
//!
//! `docs/log-fields.md`, generated from [`schema`], describes a line.
//!
//! - A field's dotted name is a nested object: `photo.id`. A field of a span
//!   is on every line within it.
//! - Every line within a span has `trace_id` and `span_id`, whether or not the span is sampled or exported, and
//!   independent of `RUST_LOG`. Spans of level `info` and above always exist; use them for requests and jobs.
//! - `otel.*` fields of a span (`otel.kind`, `otel.status_code`) are for the
//!   exported span and not logged. An error line marks its span as failed.

mod export;
mod filter;
mod kubernetes;
mod layer;
mod line;
mod panic;
mod pretty;
pub mod propagation;
mod settings;

use std::{
    fmt,
    io::IsTerminal,
    sync::{Mutex, OnceLock},
    time::Duration,
};

use opentelemetry::trace::TracerProvider;
use tracing::Subscriber;
use tracing_subscriber::{Layer, layer::SubscriberExt, registry, util::SubscriberInitExt};

pub use layer::Stream;
pub use propagation::{TraceContext, current_trace_id, current_traceparent, set_parent};
pub use settings::{TelemetryErrors, TelemetryVariable, VARIABLES};

use crate::{
    export::SpanExport,
    layer::{LineLayer, Sink},
    line::json,
    settings::{LineFormat, TelemetrySettings},
};

/// How long the program may wait at its end until the last spans are sent.
const FINAL_EXPORT_TIMEOUT: Duration = Duration::from_secs(3);

/// Longest name or version of a program in a line, bytes.
const MAX_NAME_BYTES: usize = 128;

/// The program that writes the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// `service.name`, and the line's `component`.
    pub name: &'static str,
    /// `service.version`.
    pub version: &'static str,
    pub stream: Stream,
}

impl Service {
    /// A program that logs to standard output.
    #[must_use]
    pub const fn new(name: &'static str, version: &'static str) -> Self {
        Self {
            name,
            version,
            stream: Stream::Stdout,
        }
    }

    /// The same program with its lines on standard error, for a command whose standard output is its result.
    #[must_use]
    pub const fn on_stderr(self) -> Self {
        Self {
            stream: Stream::Stderr,
            ..self
        }
    }
}

/// Why telemetry cannot be set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InitError {
    /// Variables are invalid; the error lists all of them.
    #[error(transparent)]
    Settings(#[from] TelemetryErrors),
    /// [`init`] was called twice, or another subscriber is set.
    #[error("logging is set up already")]
    AlreadySet,
}

/// Keep it until the program ends. When it is dropped, it sends the last spans, for at most three seconds.
#[must_use = "dropped at once, it ends the export of spans"]
pub struct Guard {
    traces: SpanExport,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.traces.shut_down(FINAL_EXPORT_TIMEOUT);
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard")
    }
}

/// Sets up logging and tracing for the process, from its environment ([`VARIABLES`]). Needs no runtime.
///
/// # Errors
/// See [`InitError`]. Nothing is set up then.
pub fn init(service: Service) -> Result<Guard, InitError> {
    let env = |name: &str| std::env::var(name).ok();
    let settings = TelemetrySettings::read(&env)?;
    let terminal = match service.stream {
        Stream::Stdout => std::io::stdout().is_terminal(),
        Stream::Stderr => std::io::stderr().is_terminal(),
    };
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut settings = settings;
    settings.format.get_or_insert(if terminal {
        LineFormat::Pretty
    } else {
        LineFormat::Json
    });
    let (subscriber, traces) = build(service, settings, Sink::Stream(service.stream), colour)?;
    subscriber.try_init().map_err(|_| InitError::AlreadySet)?;
    panic::install();
    Ok(Guard { traces })
}

/// A subscriber for tests, or for a part of a program: it writes to `writer`, and takes its settings from `env`.
///
/// # Errors
/// [`InitError::Settings`].
pub fn subscriber(
    service: Service,
    env: &dyn Fn(&str) -> Option<String>,
    writer: Box<dyn std::io::Write + Send>,
) -> Result<(impl Subscriber + Send + Sync + use<>, Guard), InitError> {
    let settings = TelemetrySettings::read(env)?;
    let (subscriber, traces) = build(service, settings, Sink::Writer(Mutex::new(writer)), false)?;
    Ok((subscriber, Guard { traces }))
}

fn build(
    service: Service,
    settings: TelemetrySettings,
    sink: Sink,
    colour: bool,
) -> Result<(impl Subscriber + Send + Sync, SpanExport), TelemetryErrors> {
    let traces = match &settings.endpoint {
        None => SpanExport::local(settings.sampler),
        Some(endpoint) => {
            let name = settings.service_name.unwrap_or_else(|| service.name.to_owned());
            let resource = export::resource(name, service.version);
            SpanExport::exported(settings.sampler, resource, endpoint)
                .map_err(|e| TelemetryErrors(vec![e]))?
        }
    };
    // The span's context is looked up when it is needed, not attached to the thread, so that entering a span is cheap.
    let spans = tracing_opentelemetry::layer()
        .with_context_activation(false)
        .with_tracked_inactivity(false)
        .with_location(false)
        .with_threads(false)
        .with_tracer(traces.provider.tracer(service.name))
        .with_filter(filter::ExportFilter);
    let lines = LineLayer {
        format: settings.format.unwrap_or(LineFormat::Json),
        colour,
        sink,
        service: service_members(service),
        kubernetes: settings.kubernetes,
        dispatch: OnceLock::new(),
    };
    let subscriber = registry()
        .with(spans)
        .with(lines)
        .with(filter::LogFilter::new(settings.filter));
    Ok((subscriber, traces))
}

/// `"component":…,"service":{…}`.
fn service_members(service: Service) -> String {
    let mut out = format!("\"{}\":", schema::field::COMPONENT);
    json::short(&mut out, service.name, MAX_NAME_BYTES);
    out.push_str(",\"service\":{\"name\":");
    json::short(&mut out, service.name, MAX_NAME_BYTES);
    out.push_str(",\"version\":");
    json::short(&mut out, service.version, MAX_NAME_BYTES);
    out.push('}');
    out
}
