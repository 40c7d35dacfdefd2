//! The errors of the local stack.

use std::path::PathBuf;
use std::time::Duration;

/// An error of the local stack. Its text says what to do about it, where that is possible.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program of the operating system is missing.
    #[error(
        "{program} is not installed: install the Debian package {package} (`apt-get install {package}`), or run `make setup`"
    )]
    MissingProgram {
        program: String,
        /// The Debian package that contains it.
        package: &'static str,
    },
    /// A program of this project has not been built.
    #[error("the program {program} is not built (looked in {}): run `{command}`", .looked_in.display())]
    NotBuilt {
        program: String,
        looked_in: PathBuf,
        /// The command that builds it.
        command: String,
    },
    /// This machine can run OpenSearch, but it is not installed.
    #[error("OpenSearch is not installed (looked in {}): run `make setup`, or `local/install`", .looked_in.display())]
    NotInstalled { looked_in: PathBuf },
    /// A process ended, or was not ready in time.
    #[error("{server} {what}\n--- the end of its log ---\n{log}")]
    NotReady {
        server: String,
        /// What happened instead.
        what: String,
        /// The last lines of its log.
        log: String,
    },
    /// This action needs a server that this stack started.
    #[error("cannot {action} {server}: it is an external server, named by the environment")]
    ExternalServer {
        server: &'static str,
        action: &'static str,
    },
    /// The environment names no stack.
    #[error(
        "no local stack in the environment ({missing} is not set): run the tests with `make test`, or with `cargo run -p local -- exec -- cargo test`"
    )]
    NoStack {
        /// The variable that is not set.
        missing: String,
    },
    /// A setting of an external server is missing.
    #[error("{server_variable} names an external server, so {missing} must be set too")]
    MissingSetting {
        /// The variable that names the server.
        server_variable: &'static str,
        /// The variable that is not set.
        missing: &'static str,
    },
    /// A process did not end.
    #[error("{process} (pid {pid}) still runs {after:?} after SIGKILL")]
    StillRunning {
        process: String,
        pid: i32,
        after: Duration,
    },
    /// A command that prepares a server failed.
    #[error("{command} failed: {output}")]
    Command { command: String, output: String },
    /// A request to a server failed.
    #[error("{what}: {reason}")]
    Request { what: String, reason: String },
    /// A file or process operation failed.
    #[error("{what}: {source}")]
    Io { what: String, source: std::io::Error },
}

/// The result of an operation on the local stack.
pub type Result<T> = std::result::Result<T, Error>;

/// Same text as `Display`: tests show errors through `unwrap`, and need the advice in the text.
impl std::fmt::Debug for Error {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, formatter)
    }
}

impl Error {
    pub(crate) fn request(what: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Request {
            what: what.into(),
            reason: reason.to_string(),
        }
    }
}

pub(crate) trait Context<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Context<T> for std::io::Result<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io { what: what(), source })
    }
}
