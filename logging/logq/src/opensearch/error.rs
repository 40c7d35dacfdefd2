//! Why OpenSearch did not do what it was asked.

use std::time::Duration;

use crate::forward::ForwardError;

/// Why no connection came about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// Nothing listens there.
    #[error("the connection was refused: nothing listens there")]
    Refused,
    /// The network knows no way.
    #[error("there is no route to it")]
    NoRoute,
    /// The name is not known.
    #[error("its name cannot be resolved")]
    Name,
    /// Nothing came back.
    #[error("it did not answer within {0:?}")]
    Timeout(Duration),
    /// Something else of the network's.
    #[error("{0}")]
    Other(String),
}

/// An error of the connection or an answer that is none. Never holds a
/// password: URLs in it have lost theirs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection came about; the only case in which another source may
    /// stand in.
    #[error("OpenSearch at {url} cannot be reached: {reason}. Is LOGQ_OPENSEARCH_URL right?")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        reason: Unreachable,
    },
    /// There is no way to it through the cluster: nothing was asked.
    #[error("OpenSearch cannot be reached by a port-forward to {service}: {error}")]
    Forward {
        /// Namespace and service.
        service: String,
        /// Why not.
        error: ForwardError,
    },
    /// The two do not trust or understand each other.
    #[error("TLS with OpenSearch at {url} failed: {reason}. {remedy}")]
    Tls {
        /// Where.
        url: String,
        /// What the TLS library says.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },
    /// 401: who asks is not known.
    #[error(
        "OpenSearch at {url} does not know who asks (401): {identity}. Set LOGQ_OPENSEARCH_USERNAME and LOGQ_OPENSEARCH_PASSWORD (or …_PASSWORD_FILE, …_TOKEN, …_CLIENT_CERT)"
    )]
    Unauthorized {
        /// Where.
        url: String,
        /// What was shown.
        identity: String,
    },
    /// 403: who asks may not.
    #[error("OpenSearch at {url} refuses to {what} (403): {identity}: {reason}")]
    Forbidden {
        /// Where.
        url: String,
        /// What was asked for.
        what: String,
        /// What was shown.
        identity: String,
        /// The server's words, which name the missing right.
        reason: String,
    },
    /// 400, 404, 409 and their like: the question was wrong for this server.
    #[error("OpenSearch at {url} rejects to {what} ({status} {kind}): {reason}")]
    Rejected {
        /// Where.
        url: String,
        /// What was asked for.
        what: String,
        /// The HTTP status.
        status: u16,
        /// The server's name for the error, as `parsing_exception`.
        kind: String,
        /// The server's reason.
        reason: String,
    },
    /// 429: it has too much to do.
    #[error("OpenSearch at {url} is too busy to {what} (429): {reason}. Try again later, or ask for less")]
    Busy {
        /// Where.
        url: String,
        /// What was asked for.
        what: String,
        /// The server's reason.
        reason: String,
    },
    /// An answer out of some of the shards only: lines are missing in it.
    #[error(
        "OpenSearch at {url} could answer from {successful} of {total} shards only, so lines are missing: {reason}"
    )]
    Partial {
        /// Where.
        url: String,
        /// Shards that answered.
        successful: u64,
        /// Shards that were asked.
        total: u64,
        /// What the first of the others says.
        reason: String,
    },
    /// 5xx: it cannot work now.
    #[error("OpenSearch at {url} cannot {what} now ({status}): {reason}")]
    Failed {
        /// Where.
        url: String,
        /// What was asked for.
        what: String,
        /// The HTTP status.
        status: u16,
        /// The server's reason.
        reason: String,
    },
    /// The connection stood, and the answer did not come whole or in time.
    #[error("OpenSearch at {url} was asked to {what}, and {reason}")]
    Interrupted {
        /// Where.
        url: String,
        /// What was asked for.
        what: String,
        /// What was seen.
        reason: String,
    },
    /// More than is read.
    #[error(
        "OpenSearch at {url} was asked to {what}, and its answer of {} MiB is longer than what is read. Ask for less", .bytes >> 20
    )]
    TooLong {
        /// Where.
        url: String,
        /// What was asked for.
        what: String,
        /// How long it is.
        bytes: u64,
    },
    /// What answers is not OpenSearch, or not one that is understood.
    #[error("what answers at {url} was asked to {what} and does not answer as OpenSearch does: {reason}")]
    Unexpected {
        /// Where.
        url: String,
        /// What was asked for.
        what: String,
        /// What is strange.
        reason: String,
    },
    /// The connection's settings are wrong.
    #[error("{0}")]
    Settings(String),
}

impl Error {
    /// Whether no connection came about (refused, no route, unknown name,
    /// timeout), so that a source without OpenSearch may stand in.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Forward { .. })
    }

    /// Whether the connection did not come about or did not hold.
    pub(super) const fn is_connection_lost(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Interrupted { .. })
    }

    /// The same, with what the connection went through.
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

    /// Whether asking again later can help without anybody changing anything.
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

    /// Whether a part of what was asked for can be had.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        // What its circuit breakers say of memory that they do not give.
        let is_connection_lost = |reason: &str| reason.contains("Data too large");
        match self {
            Self::TooLong { .. } => true,
            Self::Busy { reason, .. } => is_connection_lost(reason),
            _ => false,
        }
    }

    /// The HTTP status of a rejection.
    #[must_use]
    pub fn rejection_status(&self) -> Option<u16> {
        match self {
            Self::Rejected { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the server's name for the error is this one.
    #[must_use]
    pub fn is_kind(&self, name: &str) -> bool {
        matches!(self, Self::Rejected { kind, .. } if kind == name)
    }
}
