//! Errors of OpenSearch and the connection to it.

use std::time::Duration;

use crate::kubernetes::ForwardError;

/// Why no connection was established.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    #[error("the connection was refused: nothing listens there")]
    Refused,
    #[error("no route to the host")]
    NoRoute,
    #[error("its name cannot be resolved")]
    Name,
    #[error("it did not answer within {0:?}")]
    Timeout(Duration),
    #[error("{0}")]
    Other(String),
}

/// An error of the connection, the request or the response. Contains no password: URLs are stripped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection. Only in this case may another source replace OpenSearch.
    #[error("OpenSearch at {url} is unreachable: {reason}. Check LOGQ_OPENSEARCH_URL")]
    Unreachable { url: String, reason: Unreachable },
    /// No port-forward, so nothing was requested.
    #[error("OpenSearch is unreachable through a port-forward to {service}: {error}")]
    Forward { service: String, error: ForwardError },
    /// The TLS handshake failed.
    #[error("TLS with OpenSearch at {url} failed: {reason}. {remedy}")]
    Tls {
        url: String,
        reason: String,
        remedy: &'static str,
    },
    /// 401: the credentials are missing or invalid.
    #[error(
        "OpenSearch at {url} rejected the credentials (401): {identity}. Set LOGQ_OPENSEARCH_USERNAME and \
         LOGQ_OPENSEARCH_PASSWORD (or …_PASSWORD_FILE, …_TOKEN, …_CLIENT_CERT)"
    )]
    Unauthorized { url: String, identity: String },
    /// 403: the user lacks a permission.
    #[error("OpenSearch at {url} denied the request to {what} (403): {identity}: {reason}")]
    Forbidden {
        url: String,
        what: String,
        identity: String,
        /// The server's message, which names the missing permission.
        reason: String,
    },
    /// 400, 404, 409 and similar: the server rejects the request.
    #[error("OpenSearch at {url} rejected the request to {what} ({}): {reason}", [&status.to_string(), kind.as_str()].join(" ").trim_end())]
    Rejected {
        url: String,
        what: String,
        status: u16,
        /// The server's name for the error, for example `parsing_exception`; empty without one.
        kind: String,
        reason: String,
    },
    /// 429: the server is overloaded.
    #[error("OpenSearch at {url} is too busy to {what} (429): {reason}. Try again later, or request less")]
    Busy {
        url: String,
        what: String,
        reason: String,
    },
    /// Some shards failed, so lines are missing.
    #[error(
        "only {successful} of {total} shards of OpenSearch at {url} answered, so lines are missing: {reason}"
    )]
    Partial {
        url: String,
        successful: u64,
        total: u64,
        /// The message of the first failed shard.
        reason: String,
    },
    /// 5xx: the server failed.
    #[error("OpenSearch at {url} failed to {what} ({status}): {reason}")]
    Failed {
        url: String,
        what: String,
        status: u16,
        reason: String,
    },
    /// The connection was established, but the response is incomplete or late.
    #[error("OpenSearch at {url} failed to {what}: {reason}")]
    Interrupted {
        url: String,
        what: String,
        reason: String,
    },
    /// The response is too large.
    #[error(
        "OpenSearch at {url} failed to {what}: the response of {} MiB is too large. Request \
         less", .bytes >> 20
    )]
    TooLong { url: String, what: String, bytes: u64 },
    /// The response does not look like OpenSearch's.
    #[error("the server at {url} failed to {what}; it does not respond like OpenSearch: {reason}")]
    Unexpected {
        url: String,
        what: String,
        reason: String,
    },
    /// Invalid settings.
    #[error("{0}")]
    Settings(String),
}

impl Error {
    /// Whether no connection was established (refused, no route, unknown name, timeout). Another source may then
    /// replace OpenSearch.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Forward { .. })
    }

    /// Whether the connection failed or broke.
    pub(super) const fn is_connection_lost(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Interrupted { .. })
    }

    /// Adds the transport to the message.
    pub(super) fn through(mut self, connection: &str) -> Self {
        match &mut self {
            Self::Interrupted { reason, .. } => reason.push_str(&format!(" (through {connection})")),
            Self::Unreachable { reason, .. } => {
                *reason = Unreachable::Other(format!("{reason} (through {connection})"));
            }
            _ => {}
        }
        self
    }

    /// Whether a later attempt can succeed without any change.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Forward { error, .. } => error.is_transient(),
            Self::Unreachable { .. }
            | Self::Busy { .. }
            | Self::Partial { .. }
            | Self::Failed { .. }
            | Self::Interrupted { .. } => true,
            _ => false,
        }
    }

    /// Whether a smaller request can succeed.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        // OpenSearch's circuit breakers report memory limits.
        let is_memory_limit = |reason: &str| reason.contains("Data too large");
        match self {
            Self::TooLong { .. } => true,
            Self::Busy { reason, .. } => is_memory_limit(reason),
            _ => false,
        }
    }

    #[must_use]
    pub fn rejection_status(&self) -> Option<u16> {
        match self {
            Self::Rejected { status, .. } => Some(*status),
            _ => None,
        }
    }

    #[must_use]
    pub fn is_kind(&self, name: &str) -> bool {
        matches!(self, Self::Rejected { kind, .. } if kind == name)
    }
}
