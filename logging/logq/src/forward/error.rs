//! Why a port-forward to OpenSearch fails.
//!
//! kubectl always exits with 1; only its message tells the reason.

use std::time::Duration;

use super::{ServiceRef, child_guard};
use crate::source::kubectl::{self, KubectlProgram, last_message};

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// A general error of kubectl.
    #[error(transparent)]
    Kubectl(kubectl::Error),
    #[error(
        "the service does not exist ({reason}). If OpenSearch is another service, set \
         LOGQ_OPENSEARCH_URL=kubernetes://NAMESPACE/SERVICE"
    )]
    NoService { reason: String },
    #[error(
        "permission denied: {reason}. Grant in the namespace {namespace}: get on services, get and list on \
         pods, and create on pods/portforward"
    )]
    Forbidden { namespace: String, reason: String },
    /// The service has no running pod, or nothing listens in it.
    #[error("OpenSearch is not running there: {reason}")]
    NotRunning { reason: String },
    #[error("kubectl port-forward was not ready within {timeout:?}{}", stderr_suffix(.stderr))]
    Timeout { timeout: Duration, stderr: String },
    #[error("kubectl port-forward: {reason}")]
    Failed { reason: String },
}

impl ForwardError {
    /// Classifies kubectl's message.
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

    /// Why an accepted connection broke; None if the pod looks healthy.
    #[must_use]
    pub fn from_broken_connection(stderr: &str) -> Option<Self> {
        // kubectl listens before the pod does.
        stderr.contains("connection refused").then(|| Self::NotRunning {
            reason: "nothing listens in its pod yet: connection refused".to_owned(),
        })
    }

    /// Whether kubectl's message leaves the reason open: it prints "timed out" if no pod runs.
    pub(super) const fn needs_diagnosis(&self) -> bool {
        matches!(self, Self::NotRunning { .. } | Self::Timeout { .. })
    }

    /// Whether a later attempt can succeed without any change.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Kubectl(error) => error.is_transient(),
            Self::NotRunning { .. } | Self::Timeout { .. } | Self::Failed { .. } => true,
            Self::NoService { .. } | Self::Forbidden { .. } => false,
        }
    }
}

/// `: ` and kubectl's message, or an empty text.
#[must_use]
pub fn stderr_suffix(stderr: &str) -> String {
    if stderr.trim().is_empty() {
        return String::new();
    }
    format!(": {}", last_message(stderr))
}
