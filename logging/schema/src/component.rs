//! Whose line it is: the values of [`crate::field::COMPONENT`].

/// The web service.
pub const IRMGARD: &str = "irmgard";
/// The worker.
pub const ANONYMIZER: &str = "anonymizer";
/// The database.
pub const POSTGRES: &str = "postgres";
/// The message broker.
pub const RABBITMQ: &str = "rabbitmq";
/// The S3 store.
pub const OBJECT_STORE: &str = "object-store";
/// The store of the log lines.
pub const OPENSEARCH: &str = "opensearch";
/// What carries log lines to OpenSearch.
pub const FLUENTD: &str = "fluentd";
/// What shows log lines, and its jobs.
pub const LOGQ: &str = "logq";

/// Every component that has a name of its own.
pub const ALL: [&str; 8] = [
    IRMGARD,
    ANONYMIZER,
    POSTGRES,
    RABBITMQ,
    OBJECT_STORE,
    OPENSEARCH,
    FLUENTD,
    LOGQ,
];
