//! Ends the processes of the persistent stack in a safe order.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::error::{Context, Result};
use crate::process::journal;

/// How long a process may take to end.
pub(super) const SHUTDOWN_LIMIT: Duration = Duration::from_secs(40);

/// A process of the stack.
#[derive(Debug)]
pub struct StackProcess {
    pub name: String,
    /// The process id. Of a dead process: the one that it had.
    pub pid: i32,
}

pub(super) fn remove_directory(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).context(|| format!("cannot remove {}", directory.display()))?;
    }
    Ok(())
}

/// Ends the journal's processes that still run: services before servers, and a server before the processes that it needs.
pub(super) fn end_processes(journal: &Path) -> Result<Vec<StackProcess>> {
    let alive = journal::alive(journal).into_iter();
    let (log_writers, mut alive): (Vec<_>, Vec<_>) =
        alive.partition(|(_, name)| name.starts_with(journal::LOG_WRITER_PREFIX));
    alive.reverse();
    alive.sort_by_key(|(_, name)| {
        SERVERS
            .iter()
            .position(|server| server == name)
            .map_or(0, |position| position + 1)
    });
    let mut ended = Vec::new();
    for (identity, name) in alive {
        identity.end(&name, shutdown_signal(&name), SHUTDOWN_LIMIT)?;
        ended.push(StackProcess {
            name,
            pid: identity.pid,
        });
    }
    for (log_writer, name) in log_writers {
        log_writer.wait_or_kill(&name, SHUTDOWN_LIMIT)?;
    }
    Ok(ended)
}

/// The servers' processes in shutdown order. All other processes end before them.
const SERVERS: [&str; 5] = ["OpenSearch", "S3 server", "RabbitMQ", "epmd", "PostgreSQL"];

/// SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait until all sessions end.
pub(super) fn shutdown_signal(name: &str) -> Signal {
    if name == "PostgreSQL" {
        Signal::SIGINT
    } else {
        Signal::SIGTERM
    }
}
