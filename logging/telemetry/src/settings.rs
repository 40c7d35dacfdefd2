//! What the environment says about logs and traces.

use std::fmt;

use opentelemetry_sdk::trace::Sampler;
use tracing_subscriber::EnvFilter;

use crate::filter;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// One JSON object a line, for programs.
    Json,
    /// For people at a terminal.
    Pretty,
}

/// One environment variable that [`crate::init`] reads, for the documentation
/// of a program's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What holds without it, for people.
    pub default: &'static str,
    /// What it does, for people.
    pub meaning: &'static str,
}

/// Every variable that is read here. The exporter reads the rest of the
/// `OTEL_EXPORTER_OTLP_*` names (headers, timeout, compression) itself.
pub const VARIABLES: &[Variable] = &[
    Variable {
        name: "LOG_FORMAT",
        default: "pretty on a terminal, else json",
        meaning: "`json` or `pretty`: how log lines look.",
    },
    Variable {
        name: "RUST_LOG",
        default: "info",
        meaning: "What is logged, as `level` or `module=level`, several with commas between. What it does not name stays at `info`, chatty libraries at `warn`.",
    },
    Variable {
        name: "OTEL_EXPORTER_OTLP_ENDPOINT",
        default: "no export",
        meaning: "Where spans go, OTLP over gRPC: `http://host:4317` or `https://…`.",
    },
    Variable {
        name: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        default: "OTEL_EXPORTER_OTLP_ENDPOINT",
        meaning: "The same, for spans only; it goes before the other.",
    },
    Variable {
        name: "OTEL_EXPORTER_OTLP_HEADERS",
        default: "none",
        meaning: "Headers of the export, `name=value`, several with commas between.",
    },
    Variable {
        name: "OTEL_EXPORTER_OTLP_TIMEOUT",
        default: "10000",
        meaning: "Milliseconds that one export may take.",
    },
    Variable {
        name: "OTEL_TRACES_EXPORTER",
        default: "otlp",
        meaning: "`otlp`, or `none` for no export.",
    },
    Variable {
        name: "OTEL_TRACES_SAMPLER",
        default: "parentbased_always_on",
        meaning: "Which traces are exported: `always_on`, `always_off`, `traceidratio`, or one of them after `parentbased_`. Lines carry a trace id either way.",
    },
    Variable {
        name: "OTEL_TRACES_SAMPLER_ARG",
        default: "1.0",
        meaning: "The share of traces, 0 to 1, for the samplers with `traceidratio`.",
    },
    Variable {
        name: "OTEL_SERVICE_NAME",
        default: "the program's name",
        meaning: "`service.name` of exported spans.",
    },
    Variable {
        name: "OTEL_RESOURCE_ATTRIBUTES",
        default: "none",
        meaning: "More attributes of exported spans, `name=value`, several with commas between.",
    },
    Variable {
        name: "OTEL_SDK_DISABLED",
        default: "false",
        meaning: "`true`: no export, whatever else is set.",
    },
];

/// Settings that make no sense: every one, with its variable's name and what
/// would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(pub(crate) Vec<String>);

impl Mistakes {
    /// One text for each mistake.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Mistakes {}

/// What the environment says.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) format: Option<Format>,
    pub(crate) filter: EnvFilter,
    pub(crate) sampler: Sampler,
    /// Where spans go; `None` for nowhere.
    pub(crate) endpoint: Option<String>,
    pub(crate) service_name: Option<String>,
    pub(crate) kubernetes: String,
}

impl Settings {
    /// Reads every variable before it complains about any.
    pub(crate) fn read(env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Mistakes> {
        // OpenTelemetry's specification: an empty variable is as good as none.
        let env = |name: &str| env(name).filter(|value| !value.trim().is_empty());
        let mut mistakes = Vec::new();
        let format = kept(&mut mistakes, format(&env));
        let filter = kept(&mut mistakes, filter::parse(env("RUST_LOG").as_deref()));
        let endpoint = kept(&mut mistakes, endpoint(&env));
        let sampler = kept(&mut mistakes, sampler(&env));
        match (format, filter, endpoint, sampler) {
            (Some(format), Some(filter), Some(endpoint), Some(sampler)) => Ok(Self {
                format,
                filter,
                sampler,
                endpoint,
                service_name: env("OTEL_SERVICE_NAME"),
                kubernetes: crate::kubernetes::block(&env),
            }),
            _ => Err(Mistakes(mistakes)),
        }
    }
}

fn kept<T>(mistakes: &mut Vec<String>, result: Result<T, String>) -> Option<T> {
    result.map_err(|mistake| mistakes.push(mistake)).ok()
}

fn format(env: &dyn Fn(&str) -> Option<String>) -> Result<Option<Format>, String> {
    match env("LOG_FORMAT").as_deref().map(str::trim) {
        None => Ok(None),
        Some("json") => Ok(Some(Format::Json)),
        Some("pretty") => Ok(Some(Format::Pretty)),
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
