//! Selects the events and spans to log and export.

use tracing::{
    Metadata, Subscriber,
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};
use tracing_subscriber::{
    EnvFilter, Layer,
    layer::{Context, Filter},
    registry::LookupSpan,
};

/// Libraries whose `info` lines do not help an operator, and whose spans are not this project's.
const CHATTY: [&str; 14] = [
    "aws_config",
    "aws_sdk_s3",
    "aws_smithy_http_client",
    "aws_smithy_runtime",
    "aws_smithy_runtime_api",
    "h2",
    "hyper",
    "hyper_util",
    "ort",
    "reqwest",
    "rustls",
    "sqlx",
    "tonic",
    "tower",
];

/// Libraries whose lines repeat others. This crate reports outages of the exporter. The code that reconnects to the
/// broker logs a lost connection; lapin logs the same error after a graceful close.
const SILENT: [&str; 3] = ["lapin", "opentelemetry", "opentelemetry-otlp"];

/// Combines `RUST_LOG` with the defaults: `info`, and for [`CHATTY`] libraries `warn`, or the general level of
/// `RUST_LOG` if that is quieter.
pub(crate) fn parse(rust_log: Option<&str>) -> Result<EnvFilter, String> {
    let requested = rust_log
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|directive| !directive.is_empty());
    let mut general_level = LevelFilter::INFO;
    let mut module_directives = Vec::new();
    for directive in requested {
        match directive.parse() {
            Ok(level) => general_level = level,
            // A misspelt level would count as the name of a module, and silence everything else.
            Err(_) if !directive.contains(['=', '[', ':']) => {
                return Err(format!(
                    "RUST_LOG: {directive:?} is not a level; write error, warn, info, debug, trace, off or module=level"
                ));
            }
            Err(_) => module_directives.push(directive.to_owned()),
        }
    }
    let chatty_level = general_level.min(LevelFilter::WARN);
    let directives: Vec<_> = std::iter::once(general_level.to_string())
        .chain(CHATTY.map(|target| format!("{target}={chatty_level}")))
        .chain(SILENT.map(|target| format!("{target}=off")))
        .chain(module_directives)
        .collect();
    EnvFilter::builder()
        .parse(directives.join(","))
        .map_err(|e| format!("RUST_LOG: {e}; write level or module=level, with commas between"))
}

/// Passes the events of the [`EnvFilter`], and every span of this project from `info` on, so that every logged line has
/// its ids.
pub(crate) struct LogFilter {
    filter: EnvFilter,
}

impl LogFilter {
    pub(crate) const fn new(filter: EnvFilter) -> Self {
        Self { filter }
    }
}

fn is_our_span(metadata: &Metadata<'_>) -> bool {
    let krate = metadata.target().split("::").next().unwrap_or_default();
    metadata.is_span()
        && *metadata.level() <= tracing::Level::INFO
        && !CHATTY.contains(&krate)
        && !SILENT.contains(&krate)
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LogFilter {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let interest = Layer::<S>::register_callsite(&self.filter, metadata);
        if is_our_span(metadata) {
            Interest::always()
        } else {
            interest
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, ctx: Context<'_, S>) -> bool {
        is_our_span(metadata) || Layer::<S>::enabled(&self.filter, metadata, ctx)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(Layer::<S>::max_level_hint(&self.filter)?.max(LevelFilter::INFO))
    }

    fn on_new_span(&self, attrs: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        Layer::<S>::on_new_span(&self.filter, attrs, id, ctx);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        Layer::<S>::on_record(&self.filter, id, values, ctx);
    }

    fn on_enter(&self, id: &Id, ctx: Context<'_, S>) {
        Layer::<S>::on_enter(&self.filter, id, ctx);
    }

    fn on_exit(&self, id: &Id, ctx: Context<'_, S>) {
        Layer::<S>::on_exit(&self.filter, id, ctx);
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        Layer::<S>::on_close(&self.filter, id, ctx);
    }
}

/// Exports the spans of this project, and their errors, which mark a span as failed. Other events are only log lines.
pub(crate) struct ExportFilter;

impl<S> Filter<S> for ExportFilter {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        is_our_span(metadata) || (metadata.is_event() && *metadata.level() == tracing::Level::ERROR)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_our_span(metadata) || (metadata.is_event() && *metadata.level() == tracing::Level::ERROR) {
            Interest::always()
        } else {
            Interest::never()
        }
    }
}
