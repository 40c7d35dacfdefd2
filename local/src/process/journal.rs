//! The list of detached processes: one line each, written as soon as it is started, so that whatever happens to the program that
//! started it, it can be found and ended.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::Identity;
use crate::error::{Context, Result};

/// What the names of those processes begin with that write what another one prints. They end by themselves after it.
pub(crate) const WRITER: &str = "logs of ";

/// Adds a process.
pub(super) fn add(journal: &Path, identity: &Identity, name: &str) -> Result<()> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(journal)
        .and_then(|mut file| {
            file.write_all(
                format!("{} {} {} {name}\n", identity.pid, identity.started, identity.boot).as_bytes(),
            )
        })
        .context(|| format!("cannot write {}", journal.display()))
}

/// The processes of the list that still run, with their names, in the order of their start.
pub(crate) fn alive(journal: &Path) -> Vec<(Identity, String)> {
    let text = fs::read_to_string(journal).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let mut parts = line.splitn(4, ' ');
            let identity = Identity {
                pid: parts.next()?.parse().ok()?,
                started: parts.next()?.parse().ok()?,
                boot: parts.next()?.parse().ok()?,
            };
            Some((identity, parts.next()?.to_owned()))
        })
        .filter(|(identity, _)| identity.alive())
        .collect()
}
