//! Components: values of [`crate::field::COMPONENT`].

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
/// Ships log lines to OpenSearch.
pub const FLUENTD: &str = "fluentd";
/// Shows log lines; also its jobs.
pub const LOGQ: &str = "logq";

/// Every named component.
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
