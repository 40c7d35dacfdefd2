//! Why lines of pods are missing.

use std::time::Duration;

use super::containers::LogContainer;
use crate::kubernetes;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Cluster(kubernetes::Error),
    /// A permission is missing.
    #[error(
        "cannot list pods: {reason}. Choose a namespace with -n, or grant get and list on pods, and get on \
         pods/log"
    )]
    Forbidden { reason: String },
    /// The list is too long; limit in MiB.
    #[error("the list of pods is larger than {0} MiB: choose fewer pods with -n or -l")]
    ListTooLong(u64),
    #[error("the cluster's answer is not a list of pods: {reason}")]
    Unexpected { reason: String },
    /// Each followed container needs its own connection.
    #[error(
        "{count} containers match, but logq follows at most {limit}: choose fewer with -n, -l, -c or --pod"
    )]
    TooMany { count: usize, limit: usize },
    /// Lines of a container are missing.
    #[error("{container}: {problem}")]
    Logs { container: String, problem: PodProblem },
}

/// Why lines of a container are missing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PodProblem {
    /// The pod was deleted after it was listed.
    #[error("the pod was deleted after it was listed, and its lines are lost")]
    Gone,
    /// The container ended, and its node deleted the lines.
    #[error("its lines were deleted: {0}")]
    Deleted(String),
    #[error("permission denied: {0}. Grant get and list on pods, and get on pods/log")]
    Forbidden(String),
    #[error("no data for {0:?}; the remaining lines are missing")]
    Silent(Duration),
    /// The deadline for all containers passed.
    #[error("reading its lines took longer than {0:?}")]
    Timeout(Duration),
    /// The kubelet sent a message instead of lines.
    #[error("its node reports: {0}")]
    Unread(String),
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// Whether a later attempt can succeed without any change.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Cluster(error) => error.is_transient(),
            Self::Logs { .. } => true,
            _ => false,
        }
    }

    /// Whether the lines no longer exist.
    pub(crate) const fn is_deleted_lines(&self) -> bool {
        matches!(
            self,
            Self::Logs {
                problem: PodProblem::Deleted(_) | PodProblem::Gone,
                ..
            }
        )
    }

    pub(super) fn logs(container: &LogContainer, problem: PodProblem) -> Self {
        Self::Logs {
            container: container.name(),
            problem,
        }
    }
}

impl From<kubernetes::Error> for Error {
    fn from(error: kubernetes::Error) -> Self {
        match error {
            kubernetes::Error::Forbidden { reason } => Self::Forbidden { reason },
            kubernetes::Error::TooLong(limit) => Self::ListTooLong(limit),
            error => Self::Cluster(error),
        }
    }
}

impl PodProblem {
    /// Classifies an error of a log request. `has_ended`: of a container, or a start of it, that has ended.
    pub(super) fn from_request(error: kubernetes::Error, has_ended: bool) -> Self {
        match error {
            kubernetes::Error::NotFound { .. } => Self::Gone,
            kubernetes::Error::Forbidden { reason } => Self::Forbidden(reason),
            // The kubelet deletes the lines of an ended start after a while.
            kubernetes::Error::Rejected { status: 400, reason } if has_ended => Self::Deleted(reason),
            error => Self::Failed(error.to_string()),
        }
    }

    /// Classifies a message of the kubelet among the lines. It has no error code.
    pub(super) fn from_message(message: String, has_ended: bool) -> Self {
        const DELETED: [&str; 2] = ["unable to retrieve container logs", "no such file or directory"];
        if has_ended && DELETED.iter().any(|part| message.contains(part)) {
            Self::Deleted(message)
        } else {
            Self::Unread(message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deleted_lines_of_an_ended_container_are_not_missing() {
        let bad_request = || kubernetes::Error::Rejected {
            status: 400,
            reason: "previous terminated container \"a\" in pod \"b\" not found".to_owned(),
        };
        let interrupted = || kubernetes::Error::Interrupted {
            reason: "unexpected EOF".to_owned(),
        };
        let lost = || "unable to retrieve container logs for containerd://1".to_owned();
        for (problem, is_deleted) in [
            (PodProblem::from_request(bad_request(), true), true),
            (PodProblem::from_request(bad_request(), false), false),
            (PodProblem::from_request(interrupted(), true), false),
            (PodProblem::from_message(lost(), true), true),
            (PodProblem::from_message(lost(), false), false),
            (PodProblem::from_message("unexpected EOF".to_owned(), true), false),
        ] {
            assert_eq!(
                matches!(problem, PodProblem::Deleted(_)),
                is_deleted,
                "{problem:?}"
            );
        }
    }
}
