//! Errors of kubectl.
//!
//! kubectl always exits with 1; only its message tells the reason.

use std::{ffi::OsStr, io, time::Duration};

use super::pods::Container;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("{program}: the program does not exist. Install kubectl, or set its path in LOGQ_KUBECTL")]
    ProgramNotFound { program: String },
    #[error("cannot run {program}: {error}")]
    Io { program: String, error: io::Error },
    /// The cluster is unreachable, or kubectl has none.
    #[error("kubectl cannot reach the cluster: {reason}. Check KUBECONFIG, --kubeconfig or --kube-context")]
    NoCluster { reason: String },
    /// The context or the kubeconfig does not exist.
    #[error("kubectl: {reason}. `kubectl config get-contexts` lists the contexts for --kube-context")]
    Context { reason: String },
    /// The credentials are missing or invalid.
    #[error("the cluster rejected the credentials: {reason}. Renew the credentials in the kubeconfig")]
    Unauthorized { reason: String },
    /// A permission is missing.
    #[error(
        "cannot list pods: {reason}. Choose a namespace with -n, or grant get and list on pods, and get on \
         pods/log"
    )]
    Forbidden { reason: String },
    #[error("kubectl did not answer within {0:?}")]
    Timeout(Duration),
    /// The output is too long; limit in MiB.
    #[error("the list of pods is larger than {0} MiB: choose fewer pods with -n or -l")]
    ListTooLong(u64),
    /// The output is not a pod list.
    #[error("the output of `kubectl get pods` is not a list of pods: {reason}")]
    Unexpected { reason: String },
    #[error("kubectl: {reason}")]
    Failed { reason: String },
    /// Each followed container needs its own kubectl.
    #[error(
        "{count} containers match, but logq follows at most {limit}: choose fewer with -n, -l, -c or --pod"
    )]
    TooMany { count: usize, limit: usize },
    /// Lines of a container are missing.
    #[error("{container}: {problem}")]
    Logs { container: String, problem: Problem },
}

/// Why lines of a container are missing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
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
    /// The kubelet printed a message instead of lines.
    #[error("its node reports: {0}")]
    Unread(String),
    #[error("kubectl: {0}")]
    Failed(String),
}

impl Error {
    /// Whether a later attempt can succeed without any change.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::NoCluster { .. } | Self::Timeout(_) | Self::Failed { .. } | Self::Logs { .. }
        )
    }

    /// Whether the lines no longer exist.
    pub(crate) const fn is_deleted_lines(&self) -> bool {
        matches!(
            self,
            Self::Logs {
                problem: Problem::Deleted(_) | Problem::Gone,
                ..
            }
        )
    }

    pub(super) fn from_spawn(program: &OsStr, error: io::Error) -> Self {
        let program = program.to_string_lossy().into_owned();
        match error.kind() {
            io::ErrorKind::NotFound => Self::ProgramNotFound { program },
            _ => Self::Io { program, error },
        }
    }

    /// Classifies kubectl's message for `get pods`.
    pub(crate) fn from_list_stderr(stderr: &str) -> Self {
        let reason = last_message(stderr);
        let has = |parts: &[&str]| parts.iter().any(|part| reason.contains(part));
        if has(&["context was not found", "context \"", "stat "]) {
            Self::Context { reason }
        } else if has(&["(Forbidden)"]) {
            Self::Forbidden { reason }
        } else if has(&["Unauthorized", "must be logged in", "provide credentials"]) {
            Self::Unauthorized { reason }
        } else if has(&["Unable to connect to the server", "The connection to the server"]) {
            Self::NoCluster { reason }
        } else {
            Self::Failed { reason }
        }
    }

    pub(super) fn logs(container: &Container, problem: Problem) -> Self {
        Self::Logs {
            container: container.name(),
            problem,
        }
    }
}

impl Problem {
    /// Classifies kubectl's message for `logs`.
    pub(super) fn from_stderr(stderr: &str) -> Self {
        let reason = last_message(stderr);
        if reason.contains("(NotFound)") {
            Self::Gone
        } else if reason.contains("(Forbidden)") {
            Self::Forbidden(reason)
        } else {
            Self::Failed(reason)
        }
    }
}

impl Problem {
    /// The same for a container, or a start of it, that has ended: the kubelet keeps its lines only for a while.
    pub(super) fn for_ended_container(self) -> Self {
        const DELETED: [&str; 3] = [
            "previous terminated container",
            "unable to retrieve container logs",
            "no such file or directory",
        ];
        match self {
            Self::Unread(last_message) | Self::Failed(last_message)
                if DELETED.iter().any(|part| last_message.contains(part)) =>
            {
                Self::Deleted(last_message)
            }
            other => other,
        }
    }
}

/// The last message of kubectl; earlier ones are retries.
pub(crate) fn last_message(stderr: &str) -> String {
    let mut lines = stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    let last = lines.next_back().unwrap_or("it failed without a message");
    let last = last.strip_prefix("error: ").unwrap_or(last);
    let last = last.strip_prefix("Error in configuration: ").unwrap_or(last);
    // A sentence with advice follows.
    last.trim_end_matches(['.', '?']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deleted_lines_of_an_ended_container_are_not_missing() {
        let previous =
            "Error from server (BadRequest): previous terminated container \"a\" in pod \"b\" not found";
        let lost = "unable to retrieve container logs for containerd://1";
        for (problem, is_deleted) in [
            (Problem::from_stderr(previous), true),
            (Problem::Unread(lost.to_owned()), true),
            (Problem::Unread("unexpected EOF".to_owned()), false),
            (
                Problem::Failed("dial tcp 10.0.0.1:10250: i/o timeout".to_owned()),
                false,
            ),
        ] {
            let read = problem.clone().for_ended_container();
            assert_eq!(matches!(read, Problem::Deleted(_)), is_deleted, "{problem:?}");
        }
    }

    /// Messages of kubectl 1.34, each on standard error and with exit status 1.
    #[test]
    fn kubectl_messages_are_classified() {
        let tries =
            "E1122 14:18:56.148921   25630 memcache.go:265] \"Unhandled Error\" err=\"couldn't get\"\n";
        for (stderr, expected) in [
            (
                "The connection to the server localhost:8080 was refused - did you specify the right host or \
                 port?",
                "right host or port. Check KUBECONFIG",
            ),
            (
                "Unable to connect to the server: dial tcp: lookup x on 10.0.0.1:53: no such host",
                "cannot reach the cluster",
            ),
            (
                "Error in configuration: context was not found for specified context: nope",
                "kubectl: context was not",
            ),
            (
                "error: context \"nope\" does not exist",
                "kubectl: context \"nope\"",
            ),
            (
                "error: stat /nope: no such file or directory",
                "kubectl: stat /nope: no such file or directory.",
            ),
            (
                "error: You must be logged in to the server (Unauthorized)",
                "rejected the credentials: You must",
            ),
            (
                "Error from server (Forbidden): pods is forbidden: User \"x\" cannot list",
                "Choose a namespace",
            ),
            ("error: something new", "kubectl: something new"),
            ("", "without a message"),
        ] {
            let error = Error::from_list_stderr(&format!("{tries}{stderr}\n"));
            let error = if stderr.is_empty() {
                Error::from_list_stderr("")
            } else {
                error
            };
            assert!(error.to_string().contains(expected), "{stderr}: {error}");
        }
        for (stderr, problem) in [
            (
                "error: error from server (NotFound): pods \"x\" not found in namespace \"y\"",
                Problem::Gone,
            ),
            (
                "Error from server (Forbidden): pods \"x\" is forbidden",
                Problem::Forbidden("Error from server (Forbidden): pods \"x\" is forbidden".to_owned()),
            ),
            (
                "error: container x is not valid for pod y",
                Problem::Failed("container x is not valid for pod y".to_owned()),
            ),
        ] {
            assert_eq!(Problem::from_stderr(stderr), problem);
        }
    }
}
