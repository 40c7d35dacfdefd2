//! What can go wrong between wanting a server and having it.

use std::path::PathBuf;
use std::time::Duration;

/// An error of the local stack. Its text says what to do about it where something can be done.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program of the operating system's is not installed.
    #[error(
        "{program} is not on this machine: install the Debian package {package} (`apt-get install {package}`), or run `make setup`"
    )]
    MissingProgram {
        /// What was looked for.
        program: String,
        /// The Debian package that holds it.
        package: &'static str,
    },
    /// One of the project's own programs has not been built.
    #[error("the program {program} is not built (looked in {}): run `{command}`", .looked_in.display())]
    NotBuilt {
        /// The binary's name.
        program: String,
        /// Where it was looked for.
        looked_in: PathBuf,
        /// The command that builds it.
        command: String,
    },
    /// OpenSearch could be there, and is not.
    #[error("OpenSearch is not installed (looked in {}): run `make setup`, or `local/install`", .looked_in.display())]
    NotInstalled {
        /// Where it was looked for.
        looked_in: PathBuf,
    },
    /// A process ended, or was not ready in time.
    #[error("{server} {what}\n--- the end of its log ---\n{log}")]
    NotReady {
        /// Which process.
        server: String,
        /// What was seen instead of readiness.
        what: String,
        /// The last lines that it wrote.
        log: String,
    },
    /// Somebody else's server is not ours to stop.
    #[error("{server} was given from outside (by the environment) and is not ours to {action}")]
    NotOurs {
        /// Which server.
        server: &'static str,
        /// What was asked for.
        action: &'static str,
    },
    /// No stack in the environment.
    #[error(
        "no local stack in the environment ({missing} is not set): run the tests with `make test`, or with `cargo run -p local -- exec -- cargo test`"
    )]
    NoStack {
        /// The variable that is missing.
        missing: String,
    },
    /// A server that was given from outside lacks a setting.
    #[error("{given} names a server from outside, so {missing} must be set too")]
    Incomplete {
        /// The variable that names the server.
        given: &'static str,
        /// The variable that is missing.
        missing: &'static str,
    },
    /// A process did not go away.
    #[error("{process} (pid {pid}) still lives {after:?} after SIGKILL")]
    Immortal {
        /// Which process.
        process: String,
        /// Its process id.
        pid: i32,
        /// How long was waited.
        after: Duration,
    },
    /// A command that prepares a server failed.
    #[error("{command} failed: {output}")]
    Command {
        /// The command's name.
        command: String,
        /// What it wrote.
        output: String,
    },
    /// A request to a server failed.
    #[error("{what}: {reason}")]
    Request {
        /// What was asked of which server.
        what: String,
        /// Why it failed.
        reason: String,
    },
    /// A file or process operation failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The operating system's answer.
        source: std::io::Error,
    },
}

/// The result of an operation on the local stack.
pub type Result<T> = std::result::Result<T, Error>;

/// As `Display`: tests show errors through `unwrap`, and what to do about one must be read there too.
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
