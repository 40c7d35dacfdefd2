//! Names of members that contain a message, a level, a time or a trace id.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;
use schema::field;

use super::level::LevelScale;

/// The role of a member in another program's line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Message,
    Level(LevelScale),
    Time,
    TraceId,
}

use Role::{Level, Message, Time, TraceId};

/// Each name with its role. Of several names with one role, the first with a readable value counts.
const ROLES: [(&str, Role); 66] = [
    // Names that a format reserves come first: another member of the same role is the application's.
    ("@message", Message), // hclog
    ("@m", Message),       // Serilog
    ("@mt", Message),
    ("message", Message),
    ("msg", Message),
    ("log", Message),
    ("event", Message),
    ("Message", Message),
    ("short_message", Message), // GELF
    ("MESSAGE", Message),       // journald
    ("RenderedMessage", Message),
    ("MessageTemplate", Message),
    ("textPayload", Message),                 // Google
    ("M", Message),                           // zap, development
    ("body", Message),                        // OpenTelemetry
    ("@level", Level(LevelScale::Bunyan)),    // hclog
    ("@l", Level(LevelScale::Bunyan)),        // Serilog
    ("log.level", Level(LevelScale::Bunyan)), // Elastic
    ("levelName", Level(LevelScale::Bunyan)),
    ("levelname", Level(LevelScale::Python)),
    ("level_name", Level(LevelScale::Bunyan)), // Monolog
    ("level", Level(LevelScale::Bunyan)),
    ("severity", Level(LevelScale::Bunyan)),
    ("lvl", Level(LevelScale::Bunyan)),
    ("loglevel", Level(LevelScale::Bunyan)),
    ("log_level", Level(LevelScale::Bunyan)),
    ("logLevel", Level(LevelScale::Bunyan)),
    ("Level", Level(LevelScale::Bunyan)),
    ("LogLevel", Level(LevelScale::Bunyan)),
    ("Severity", Level(LevelScale::Bunyan)),
    ("severityText", Level(LevelScale::OpenTelemetry)),
    ("severity_text", Level(LevelScale::OpenTelemetry)),
    ("SeverityText", Level(LevelScale::OpenTelemetry)),
    ("severityNumber", Level(LevelScale::OpenTelemetry)),
    ("severity_number", Level(LevelScale::OpenTelemetry)),
    ("SeverityNumber", Level(LevelScale::OpenTelemetry)),
    ("levelno", Level(LevelScale::Python)),
    ("PRIORITY", Level(LevelScale::Syslog)), // journald
    ("L", Level(LevelScale::Bunyan)),        // zap, development
    (field::TIMESTAMP, Time),
    ("@t", Time),
    ("timeUnixNano", Time), // OpenTelemetry
    ("__REALTIME_TIMESTAMP", Time),
    ("timestamp", Time),
    ("time", Time),
    ("ts", Time),
    ("Timestamp", Time),
    ("Time", Time),
    ("datetime", Time),
    ("timeMillis", Time), // Log4j
    ("instant", Time),
    ("asctime", Time),
    ("t", Time),
    ("T", Time),
    ("date", Time),         // Fluent Bit
    ("time_iso8601", Time), // nginx
    ("time_local", Time),
    ("timeStamp", Time),
    ("eventTime", Time),      // CloudTrail
    ("stageTimestamp", Time), // Kubernetes' audit log
    // W3C Trace Context, Elastic, Spring, Google: `projects/<project>/traces/<id>`.
    (field::TRACE_ID, TraceId),
    ("trace.id", TraceId),
    ("traceId", TraceId),
    ("TraceId", TraceId),
    ("@tr", TraceId),
    ("logging.googleapis.com/trace", TraceId),
];

/// The role of a name, and its rank: lower ranks count first.
pub(super) fn role(name: &str) -> Option<(usize, Role)> {
    static RANKS: LazyLock<FxHashMap<&str, (usize, Role)>> = LazyLock::new(|| {
        let ranked = ROLES.iter().enumerate();
        ranked
            .map(|(rank, (name, role))| (*name, (rank, *role)))
            .collect()
    });
    RANKS.get(name).copied()
}

/// Names of members that may contain a line's time, also within an object.
pub fn time_members() -> impl Iterator<Item = &'static str> {
    names(|role| role == Time)
}

/// Names of members that may contain a line's level, also within an object.
pub fn level_members() -> impl Iterator<Item = &'static str> {
    names(|role| matches!(role, Level(_)))
}

fn names(matches: impl Fn(Role) -> bool) -> impl Iterator<Item = &'static str> {
    ROLES
        .iter()
        .filter(move |(_, role)| matches(*role))
        .map(|(name, _)| *name)
}
