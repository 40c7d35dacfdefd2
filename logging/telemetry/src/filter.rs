//! What is logged.

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

/// Libraries whose `info` is of no use to who runs the program, and whose
/// spans are not ours.
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

/// Libraries whose notes repeat ours: on the exporter's this crate keeps watch,
/// and the loss of a connection to the broker is logged where it is mended, not
/// also as lapin's error, which cannot tell it from an orderly end.
const SILENT: [&str; 3] = ["lapin", "opentelemetry", "opentelemetry-otlp"];

/// `RUST_LOG` over the defaults: `info`, and [`CHATTY`] libraries at `warn`
/// or what `RUST_LOG` says of everything, whichever is quieter.
pub(crate) fn parse(rust_log: Option<&str>) -> Result<EnvFilter, String> {
    let asked = rust_log
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|directive| !directive.is_empty());
    let mut of_everything = LevelFilter::INFO;
    let mut of_modules = Vec::new();
    for directive in asked {
        match directive.parse() {
            Ok(level) => of_everything = level,
            // A misspelt level would pass for the name of a module, and silence all else.
            Err(_) if !directive.contains(['=', '[', ':']) => {
                return Err(format!(
                    "RUST_LOG: {directive:?} is no level; write error, warn, info, debug, trace, off or module=level"
                ));
            }
            Err(_) => of_modules.push(directive.to_owned()),
        }
    }
    let of_chatty = of_everything.min(LevelFilter::WARN);
    let directives: Vec<_> = std::iter::once(of_everything.to_string())
        .chain(CHATTY.map(|target| format!("{target}={of_chatty}")))
        .chain(SILENT.map(|target| format!("{target}=off")))
        .chain(of_modules)
        .collect();
    EnvFilter::builder()
        .parse(directives.join(","))
        .map_err(|e| format!("RUST_LOG: {e}; write level or module=level, with commas between"))
}

/// Lets through the events that the [`EnvFilter`] lets through, and every span
/// of ours from `info` on: a line that is logged has its ids however little
/// else is.
pub(crate) struct Gate {
    filter: EnvFilter,
}

impl Gate {
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

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Gate {
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

/// What becomes an exported span: our spans, and in them the errors, which
/// mark a span as failed. Other events are log lines.
pub(crate) struct Exported;

impl<S> Filter<S> for Exported {
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
