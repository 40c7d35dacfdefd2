//! Settings of logs and traces, from the environment.

use std::fmt;

use opentelemetry_sdk::trace::Sampler;
use tracing_subscriber::EnvFilter;

use crate::filter;

/// Format of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineFormat {
    /// One JSON object per line, for programs.
    Json,
    /// For people at a terminal.
    Pretty,
}

/// An environment variable that [`crate::init`] reads, for the documentation of a program's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelemetryVariable {
    pub name: &'static str,
    /// What applies without it, for people.
    pub default: &'static str,
    /// What it does, for people.
    pub meaning: &'static str,
}

/// Every variable that is read here. The exporter reads the rest of the
/// `OTEL_EXPORTER_OTLP_*` names (headers, timeout, compression) itself.
pub const VARIABLES: &[TelemetryVariable] = &[
    TelemetryVariable {
        name: "LOG_FORMAT",
        default: "pretty on a terminal, else json",
        meaning: "`json` or `pretty`: how log lines look.",
    },
    TelemetryVariable {
        name: "RUST_LOG",
        default: "info",
        meaning: "Minimum levels: a comma-separated list of `level` and `module=level`. Default for other modules: `info`, chatty libraries `warn`.",
    },
    TelemetryVariable {
        name: "OTEL_EXPORTER_OTLP_ENDPOINT",
        default: "no export",
        meaning: "Endpoint for spans (OTLP over gRPC): `http://host:4317` or `https://…`.",
    },
    TelemetryVariable {
        name: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        default: "OTEL_EXPORTER_OTLP_ENDPOINT",
        meaning: "Endpoint for spans; overrides OTEL_EXPORTER_OTLP_ENDPOINT.",
    },
    TelemetryVariable {
        name: "OTEL_EXPORTER_OTLP_HEADERS",
        default: "none",
        meaning: "Headers of each export: a comma-separated list of `name=value`.",
    },
    TelemetryVariable {
        name: "OTEL_EXPORTER_OTLP_TIMEOUT",
        default: "10000",
        meaning: "Time limit of one export, in milliseconds.",
    },
    TelemetryVariable {
        name: "OTEL_TRACES_EXPORTER",
        default: "otlp",
        meaning: "`otlp`, or `none` for no export.",
    },
    TelemetryVariable {
        name: "OTEL_TRACES_SAMPLER",
        default: "parentbased_always_on",
        meaning: "Which traces are exported: `always_on`, `always_off`, `traceidratio`, or one of them after `parentbased_`. Lines always have a trace id.",
    },
    TelemetryVariable {
        name: "OTEL_TRACES_SAMPLER_ARG",
        default: "1.0",
        meaning: "Share of traces to export, 0 to 1, for `traceidratio`.",
    },
    TelemetryVariable {
        name: "OTEL_SERVICE_NAME",
        default: "the program's name",
        meaning: "`service.name` of exported spans.",
    },
    TelemetryVariable {
        name: "OTEL_RESOURCE_ATTRIBUTES",
        default: "none",
        meaning: "More attributes of exported spans: a comma-separated list of `name=value`.",
    },
    TelemetryVariable {
        name: "OTEL_SDK_DISABLED",
        default: "false",
        meaning: "`true`: no export, whatever else is set.",
    },
];

/// Invalid settings: each with its variable and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetryErrors(pub(crate) Vec<String>);

impl TelemetryErrors {
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl fmt::Display for TelemetryErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for TelemetryErrors {}

#[derive(Debug)]
pub(crate) struct TelemetrySettings {
    pub(crate) format: Option<LineFormat>,
    pub(crate) filter: EnvFilter,
    pub(crate) sampler: Sampler,
    /// Where spans are sent; `None`: no export.
    pub(crate) endpoint: Option<String>,
    pub(crate) service_name: Option<String>,
    pub(crate) kubernetes: String,
}

impl TelemetrySettings {
    /// Reads all variables, so that all errors are reported together.
    pub(crate) fn read(env: &dyn Fn(&str) -> Option<String>) -> Result<Self, TelemetryErrors> {
        // OpenTelemetry's specification: an empty variable counts as not set.
        let env = |name: &str| env(name).filter(|value| !value.trim().is_empty());
        let mut errors = Vec::new();
        let format = record_error(&mut errors, format(&env));
        let filter = record_error(&mut errors, filter::parse(env("RUST_LOG").as_deref()));
        let endpoint = record_error(&mut errors, endpoint(&env));
        let sampler = record_error(&mut errors, sampler(&env));
        match (format, filter, endpoint, sampler) {
            (Some(format), Some(filter), Some(endpoint), Some(sampler)) => Ok(Self {
                format,
                filter,
                sampler,
                endpoint,
                service_name: env("OTEL_SERVICE_NAME"),
                kubernetes: crate::kubernetes::block(&env),
            }),
            _ => Err(TelemetryErrors(errors)),
        }
    }
}

fn record_error<T>(errors: &mut Vec<String>, result: Result<T, String>) -> Option<T> {
    result.map_err(|error| errors.push(error)).ok()
}

fn format(env: &dyn Fn(&str) -> Option<String>) -> Result<Option<LineFormat>, String> {
    match env("LOG_FORMAT").as_deref().map(str::trim) {
        None => Ok(None),
        Some("json") => Ok(Some(LineFormat::Json)),
        Some("pretty") => Ok(Some(LineFormat::Pretty)),
        Some(_) => Err("LOG_FORMAT: write json or pretty".to_owned()),
    }
}

fn endpoint(env: &dyn Fn(&str) -> Option<String>) -> Result<Option<String>, String> {
    let disabled = env("OTEL_SDK_DISABLED").is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
    let exports = match env("OTEL_TRACES_EXPORTER").as_deref().map(str::trim) {
        None | Some("otlp") => true,
        Some("none") => false,
        Some(_) => return Err("OTEL_TRACES_EXPORTER: write otlp or none".to_owned()),
    };
    for name in [
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    ] {
        if env(name).is_some_and(|protocol| protocol.trim() != "grpc") {
            return Err(format!("{name}: spans are exported over grpc only"));
        }
    }
    let variable = [
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ]
    .into_iter()
    .find_map(|name| Some((name, env(name)?)));
    let Some((name, endpoint)) = variable.filter(|_| exports && !disabled) else {
        return Ok(None);
    };
    let endpoint = endpoint.trim();
    if endpoint.starts_with("http://") || endpoint.starts_with("https://") {
        Ok(Some(endpoint.to_owned()))
    } else {
        Err(format!("{name}: write http://host:4317 or https://host:4317"))
    }
}

fn sampler(env: &dyn Fn(&str) -> Option<String>) -> Result<Sampler, String> {
    let name = env("OTEL_TRACES_SAMPLER").unwrap_or_else(|| "parentbased_always_on".to_owned());
    let name = name.trim();
    let (parent_based, root) = match name.strip_prefix("parentbased_") {
        Some(root) => (true, root),
        None => (false, name),
    };
    let root = match root {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => Sampler::TraceIdRatioBased(ratio(env)?),
        _ => {
            return Err(
                "OTEL_TRACES_SAMPLER: write always_on, always_off, traceidratio, or one of them after parentbased_"
                    .to_owned(),
            );
        }
    };
    Ok(if parent_based {
        Sampler::ParentBased(Box::new(root))
    } else {
        root
    })
}

fn ratio(env: &dyn Fn(&str) -> Option<String>) -> Result<f64, String> {
    let Some(text) = env("OTEL_TRACES_SAMPLER_ARG") else {
        return Ok(1.0);
    };
    text.trim()
        .parse()
        .ok()
        .filter(|ratio| (0.0..=1.0).contains(ratio))
        .ok_or_else(|| "OTEL_TRACES_SAMPLER_ARG: write a number from 0 to 1".to_owned())
}
