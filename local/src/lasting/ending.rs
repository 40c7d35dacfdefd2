//! How the lasting stack's processes are ended, and in which order.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;

use super::{PATIENCE, Process};
use crate::error::{Context, Result};
use crate::process::journal;

pub(super) fn remove(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).context(|| format!("cannot remove {}", directory.display()))?;
    }
    Ok(())
}

/// Ends the processes of the journal that still run: services before the servers that they use, and a server before what it needs.
pub(super) fn end_processes(journal: &Path) -> Result<Vec<Process>> {
    let alive = journal::alive(journal).into_iter();
    let (writers, mut alive): (Vec<_>, Vec<_>) =
        alive.partition(|(_, name)| name.starts_with(journal::WRITER));
    alive.reverse();
    alive.sort_by_key(|(_, name)| {
        SERVERS
            .iter()
            .position(|server| server == name)
            .map_or(0, |place| place + 1)
    });
    let mut ended = Vec::new();
    for (identity, name) in alive {
        identity.end(&name, ending(&name), PATIENCE)?;
        ended.push(Process {
            name,
            pid: identity.pid,
        });
    }
    for (writer, name) in writers {
        writer.ends(&name, PATIENCE)?;
    }
    Ok(ended)
}

/// The servers' processes in the order in which they are ended, after everything else.
const SERVERS: [&str; 5] = ["OpenSearch", "S3 server", "RabbitMQ", "epmd", "PostgreSQL"];

/// PostgreSQL's SIGINT is its fast shutdown; SIGTERM would wait for sessions to leave.
pub(super) fn ending(name: &str) -> Signal {
    if name == "PostgreSQL" {
        Signal::SIGINT
    } else {
        Signal::SIGTERM
    }
}
