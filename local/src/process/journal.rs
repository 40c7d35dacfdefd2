//! The journal of detached processes: one line for each, written at its start. With it, a later program can find and end the
//! processes even if the program that started them was killed.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::identity::ProcessIdentity;
use crate::error::{Context, Result};

/// The name prefix of log writers. A log writer ends by itself after the process whose output it writes.
pub(crate) const LOG_WRITER_PREFIX: &str = "logs of ";

pub(super) fn add(journal: &Path, identity: &ProcessIdentity, name: &str) -> Result<()> {
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

/// The processes that still run, with their names, in the order of their start.
pub(crate) fn alive(journal: &Path) -> Vec<(ProcessIdentity, String)> {
    let text = fs::read_to_string(journal).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let mut parts = line.splitn(4, ' ');
            let identity = ProcessIdentity {
                pid: parts.next()?.parse().ok()?,
                started: parts.next()?.parse().ok()?,
                boot: parts.next()?.parse().ok()?,
            };
            Some((identity, parts.next()?.to_owned()))
        })
        .filter(|(identity, _)| identity.alive())
        .collect()
}
