//! Errors of the Kubernetes API and of port-forwards.

use std::{error::Error as StdError, io, time::Duration};

use hyper_util::client::legacy;
use kube_client::client::AuthError;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(
        "no kubeconfig: {searched} does not exist, and logq does not run in a pod. Set KUBECONFIG or \
         --kubeconfig"
    )]
    NoKubeconfig { searched: String },
    /// The kubeconfig is unreadable or invalid, or lacks the context.
    #[error("invalid kubeconfig: {reason}. Check KUBECONFIG, --kubeconfig or --kube-context")]
    Kubeconfig { reason: String },
    /// The credential plugin failed, or a token is unreadable.
    #[error("no credentials for the cluster: {reason}. Log in again, or check the user in the kubeconfig")]
    Credentials { reason: String },
    #[error(
        "the cluster at {server} is unreachable: {reason}. Check KUBECONFIG, --kubeconfig or --kube-context"
    )]
    Unreachable { server: String, reason: String },
    #[error("the cluster did not answer within {0:?}")]
    Timeout(Duration),
    /// 401
    #[error("the cluster rejected the credentials: {reason}. Renew the credentials in the kubeconfig")]
    Unauthorized { reason: String },
    /// 403; the reason names the verb and the resource.
    #[error("permission denied: {reason}")]
    Forbidden { reason: String },
    /// 404
    #[error("{reason}")]
    NotFound { reason: String },
    /// Another error status.
    #[error("the cluster answered {status}: {reason}")]
    Rejected { status: u16, reason: String },
    #[error("the connection to the cluster was lost: {reason}")]
    Interrupted { reason: String },
    #[error("the response of the cluster is larger than {0} MiB")]
    TooLong(u64),
    #[error("the request was cancelled")]
    Cancelled,
    #[error("{reason}")]
    Failed { reason: String },
}

impl Error {
    /// Classifies an error of a request to this server.
    pub(super) fn from_request(server: &str, error: &kube_client::Error) -> Self {
        if let kube_client::Error::Api(status) = error {
            let reason = status.message.clone();
            return match status.code {
                401 => Self::Unauthorized { reason },
                403 => Self::Forbidden { reason },
                404 => Self::NotFound { reason },
                status => Self::Rejected { status, reason },
            };
        }
        let chain = error_chain(error);
        if let Some(error) = chain.iter().find_map(|cause| cause.downcast_ref::<AuthError>()) {
            return error.into();
        }
        let reason = chain
            .last()
            .map_or_else(|| error.to_string(), ToString::to_string);
        let http = chain
            .iter()
            .find_map(|cause| cause.downcast_ref::<legacy::Error>());
        match http {
            Some(http) if http.is_connect() => Self::Unreachable {
                server: server.to_owned(),
                reason,
            },
            Some(_) => Self::Interrupted { reason },
            None => Self::Failed { reason },
        }
    }

    /// The connection broke while the response was read.
    pub(super) fn from_body(error: &io::Error) -> Self {
        let reason = error_chain(error)
            .last()
            .map_or_else(|| error.to_string(), ToString::to_string);
        Self::Interrupted { reason }
    }

    /// Whether a later attempt can succeed without any change.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Timeout(_)
                | Self::Rejected { .. }
                | Self::Interrupted { .. }
                | Self::Failed { .. }
        )
    }
}

impl From<&AuthError> for Error {
    fn from(error: &AuthError) -> Self {
        let reason = match error {
            // The command line may contain secrets.
            AuthError::AuthExecRun { out, .. } => {
                let stderr = String::from_utf8_lossy(&out.stderr);
                let last = stderr.lines().rfind(|line| !line.trim().is_empty());
                let last = last.map_or_else(String::new, |line| format!(": {}", line.trim()));
                format!("the credential plugin failed ({}){last}", out.status)
            }
            AuthError::AuthExecStart(error) => format!("cannot run the credential plugin: {error}"),
            error => error.to_string(),
        };
        Self::Credentials { reason }
    }
}

/// An error and its causes.
pub(crate) fn error_chain<'a>(error: &'a (dyn StdError + 'static)) -> Vec<&'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| {
        // `source` of an `io::Error` skips the inner error.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner
            .map(|inner| inner as &(dyn StdError + 'static))
            .or_else(|| error.source())
    })
    .collect()
}

/// Why a port-forward to a service fails, or ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// No request to the cluster succeeds.
    #[error(transparent)]
    Cluster(Error),
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
    #[error("the port-forward was not ready within {0:?}")]
    Timeout(Duration),
    #[error("{reason}")]
    Failed { reason: String },
}

impl ForwardError {
    /// Whether a later attempt can succeed without any change.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Cluster(error) => error.is_transient(),
            Self::NotRunning { .. } | Self::Timeout { .. } | Self::Failed { .. } => true,
            Self::NoService { .. } | Self::Forbidden { .. } => false,
        }
    }

    /// Classifies an error of a request in this namespace.
    pub(super) fn from_request(namespace: &str, error: Error) -> Self {
        match error {
            Error::Forbidden { reason } => Self::Forbidden {
                namespace: namespace.to_owned(),
                reason,
            },
            error @ (Error::NotFound { .. }
            | Error::Rejected { .. }
            | Error::Interrupted { .. }
            | Error::TooLong(_)
            | Error::Failed { .. }) => Self::Failed {
                reason: error.to_string(),
            },
            error => Self::Cluster(error),
        }
    }
}

impl From<Error> for ForwardError {
    fn from(error: Error) -> Self {
        Self::Cluster(error)
    }
}
