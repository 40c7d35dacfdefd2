//! Why there is no way to OpenSearch through a cluster.
//!
//! kubectl ends with 1 whatever is wrong; what it is, only its words tell.

use std::time::Duration;

use super::{ServiceRef, child_guard};
use crate::source::kubectl::{self, KubectlProgram, last_message};

/// Why there is no port-forward, or none any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// kubectl, or its way to the cluster.
    #[error(transparent)]
    Kubectl(kubectl::Error),
    /// There is no such service.
    #[error(
        "the cluster has none ({reason}). Where it has OpenSearch, LOGQ_OPENSEARCH_URL can say: \
         kubernetes://NAMESPACE/SERVICE"
    )]
    NoService {
        /// kubectl's words.
        reason: String,
    },
    /// Who asks may not.
    #[error(
        "it may not be made: {reason}. Needed in the namespace {namespace} are get on services, get and list on pods, \
         and create on pods/portforward"
    )]
    Forbidden {
        /// Where.
        namespace: String,
        /// The cluster's words.
        reason: String,
    },
    /// The service has no pod that runs, or nothing listens in it.
    #[error("OpenSearch does not run there: {reason}")]
    NotRunning {
        /// kubectl's words.
        reason: String,
    },
    /// It took too long.
    #[error("kubectl port-forward was not ready within {timeout:?}{}", stderr_suffix(.stderr))]
    Timeout {
        /// So long was waited.
        timeout: Duration,
        /// kubectl's words.
        stderr: String,
    },
    /// Anything else.
    #[error("kubectl port-forward: {reason}")]
    Failed {
        /// kubectl's words.
        reason: String,
    },
}

impl ForwardError {
    /// What kubectl has said instead of forwarding.
    pub(super) fn from_stderr(service: &ServiceRef, program: &KubectlProgram, stderr: &str) -> Self {
        if let Some(error) = child_guard::spawn_error(stderr) {
            return Self::Kubectl(program.spawn_error(error));
        }
        let reason = last_message(stderr);
        let has = |parts: &[&str]| parts.iter().any(|part| stderr.contains(part));
        if has(&["forbidden", "Forbidden"]) {
            Self::Forbidden {
                namespace: service.namespace.clone(),
                reason,
            }
        } else if has(&["(NotFound)", "does not have a service port"]) {
            Self::NoService { reason }
        } else if has(&[
            "pod is not running",
            "timed out waiting for the condition",
            "lost connection to pod",
            "no pods",
        ]) {
            Self::NotRunning { reason }
        } else {
            match kubectl::Error::from_list_stderr(stderr) {
                kubectl::Error::Failed { .. } => Self::Failed { reason },
                error => Self::Kubectl(error),
            }
        }
    }

    /// Why a connection broke that kubectl had taken; none where nothing is known to be wrong with the pod.
    #[must_use]
    pub fn from_broken_connection(stderr: &str) -> Option<Self> {
        // kubectl listens before anything does there.
        stderr.contains("connection refused").then(|| Self::NotRunning {
            reason: "nothing listens in its pod (yet): connection refused".to_owned(),
        })
    }

    /// Whether kubectl's words leave open why: it says "timed out" where no pod runs.
    pub(super) const fn needs_diagnosis(&self) -> bool {
        matches!(self, Self::NotRunning { .. } | Self::Timeout { .. })
    }

    /// Whether asking again later can help without anybody changing anything.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Kubectl(error) => error.is_transient(),
            Self::NotRunning { .. } | Self::Timeout { .. } | Self::Failed { .. } => true,
            Self::NoService { .. } | Self::Forbidden { .. } => false,
        }
    }
}

/// `: ` and kubectl's words, if it has said any.
#[must_use]
pub fn stderr_suffix(stderr: &str) -> String {
    if stderr.trim().is_empty() {
        return String::new();
    }
    format!(": {}", last_message(stderr))
}
