//! All containers of a node, in transactions: a batch is normalised, Fluentd buffers the events, then the pending lines
//! are stored. If Fluentd cannot buffer the events, the batch is rolled back, and Fluentd reads it again.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use log_normalizer::{Document, Origin, PARTIAL_WAIT, RawLine, normalize};
use schema::{component, field, level, stream};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::container::{ContainerState, Normalize, Snapshot};
use crate::events::Events;

/// Maximum number of containers in memory; a node runs far fewer at a time.
const MAX_CONTAINERS: usize = 10_000;

/// The member of a dead letter that names its stream.
const STREAM: &str = "_stream";

/// The value of [`field::KIND`] in a dead letter notice.
const DEAD_LETTERS: &str = "dead-letters";

/// Normalises the lines of a node's containers.
///
/// `now` is a monotonic clock with any start.
pub struct Normalizer {
    folder: PathBuf,
    node: Option<String>,
    containers: HashMap<String, ContainerState>,
    /// The state of each changed container before the transaction; None if there was none.
    undo: Vec<(String, Option<Snapshot>)>,
    last_expire: Duration,
    /// Total time for which Fluentd's output was blocked. Reading stopped too, so nothing expires meanwhile.
    blocked: Duration,
    normalize: Normalize,
}

impl Normalizer {
    /// Restores pending lines from a folder; creates the folder if it is missing. `node` is this process' node.
    ///
    /// # Errors
    /// When the folder cannot be created or read.
    pub fn open(folder: &Path, node: Option<&str>, now: Duration) -> Result<Self> {
        let mut normalizer = Self {
            folder: folder.to_owned(),
            node: node.map(ToOwned::to_owned),
            containers: HashMap::new(),
            undo: Vec::new(),
            last_expire: now,
            blocked: Duration::ZERO,
            normalize,
        };
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            if !is_pending_file(&path) {
                continue;
            }
            let file = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            match ContainerState::from_file(&file, node, now) {
                Ok(container) => {
                    let key = ContainerState::key(container.path()).to_owned();
                    normalizer.containers.insert(key, container);
                }
                // The machine went down before the file was on disk. A person may still read it.
                Err(_) => {
                    let unreadable = path.with_extension(UNREADABLE);
                    fs::rename(&path, &unreadable)
                        .with_context(|| format!("cannot rename {}", path.display()))?;
                }
            }
        }
        Ok(normalizer)
    }

    #[cfg(test)]
    pub fn set_normalize(&mut self, normalize: Normalize) {
        self.normalize = normalize;
    }

    /// Takes lines of one file that were read together. Each ends in LF or CR LF.
    ///
    /// # Errors
    /// When the pod's metadata cannot be read. The state is then unchanged.
    pub fn feed(
        &mut self,
        path: &str,
        metadata: &str,
        lines: &[u8],
        now: Duration,
        events: &mut Events,
    ) -> Result<()> {
        let now = now.saturating_sub(self.blocked);
        let key = ContainerState::key(path);
        if !self.containers.contains_key(key) {
            if self.containers.len() >= MAX_CONTAINERS {
                self.containers.retain(|_, container| !container.is_idle());
            }
            let container = ContainerState::new(path, metadata, self.node.as_deref())?;
            self.containers.insert(key.to_owned(), container);
        }
        let Some(container) = self.containers.get_mut(key) else {
            return Ok(());
        };
        container.set_metadata(metadata, self.node.as_deref())?;
        let before = (!container.is_idle()).then(|| container.snapshot());
        self.undo.push((key.to_owned(), before));
        for line in lines_in(lines) {
            container.push(line, now, self.normalize, events);
        }
        container.end_batch();
        Ok(())
    }

    /// Passes on lines that have been pending too long. Call it more often than once a second.
    pub fn expire(&mut self, now: Duration, events: &mut Events) {
        let passed = now.saturating_sub(self.last_expire);
        self.last_expire = now;
        if passed > PARTIAL_WAIT / 2 {
            self.blocked += passed;
        }
        let now = now.saturating_sub(self.blocked);
        for (key, container) in &mut self.containers {
            if !container.is_idle() {
                self.undo.push((key.clone(), Some(container.snapshot())));
                container.expire(now, self.normalize, events);
            }
        }
    }

    /// Ends a transaction: stores pending lines. A failed commit can be rolled back.
    ///
    /// # Errors
    /// When a file cannot be written or deleted.
    pub fn commit(&mut self) -> Result<()> {
        for (key, _) in &self.undo {
            let Some(container) = self.containers.get_mut(key) else {
                continue;
            };
            if container.is_changed {
                store(&self.folder, key, container)?;
                container.is_changed = false;
            }
        }
        self.undo.clear();
        Ok(())
    }

    /// Undoes a transaction. Fluentd reads its lines again.
    pub fn rollback(&mut self, now: Duration) {
        let now = now.saturating_sub(self.blocked);
        while let Some((key, before)) = self.undo.pop() {
            match (before, self.containers.get_mut(&key)) {
                (Some(before), Some(container)) => {
                    container.restore(before, now);
                    container.is_changed = true;
                }
                _ => {
                    self.containers.remove(&key);
                }
            }
        }
    }
}

/// The extension of a file of pending lines that cannot be read.
const UNREADABLE: &str = "unreadable";

/// Whether [`store`] writes files of this name: SHA-256 in hexadecimal.
fn is_pending_file(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Replaces a container's file atomically.
fn store(folder: &Path, key: &str, container: &ContainerState) -> Result<()> {
    let path = folder.join(hex::encode(Sha256::digest(key.as_bytes())));
    let stored = if container.is_idle() {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    } else {
        let new = path.with_extension("new");
        fs::write(&new, container.to_file()?).and_then(|()| fs::rename(&new, &path))
    };
    stored.with_context(|| format!("cannot store pending lines in {}", path.display()))
}

/// The lines of a batch without LF.
fn lines_in(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    let complete = lines.strip_suffix(b"\n").unwrap_or(lines);
    complete
        .split(|byte| *byte == b'\n')
        .filter(|_| !lines.is_empty())
}

/// Reads dead letters: documents with their stream.
pub fn read_dead_letters(lines: &[u8], events: &mut Events) {
    for line in lines_in(lines).map(<[u8]>::trim_ascii) {
        if line.is_empty() {
            continue;
        }
        match Document::from_json(line) {
            Ok(document) if document.id().is_some() => {
                let mut members = document.into_members();
                let name = members.remove(STREAM);
                let document = Document::from(members);
                let named = stream::ALL
                    .into_iter()
                    .find(|stream| name.as_ref() == Some(&Value::from(*stream)));
                events.add_to(named.unwrap_or_else(|| document.stream()), &document);
            }
            _ => events.rejected.push(String::from_utf8_lossy(line).into_owned()),
        }
    }
}

/// Adds a line with the number of dead letters.
///
/// # Errors
/// When it does not become a document of Fluentd's stream.
pub fn add_notice(count: u64, node: &str, pod: &str, events: &mut Events) -> Result<()> {
    let time = events.time();
    let mut line = json!({
        field::TIMESTAMP: time.to_string(), field::LEVEL: level::ERROR, field::COMPONENT: component::FLUENTD,
        field::KIND: DEAD_LETTERS, field::COUNT: count,
        field::MESSAGE: "lines were not stored and are kept as dead letters",
    });
    for (name, value) in [(field::KUBERNETES_NODE, node), (field::KUBERNETES_POD, pod)] {
        if !value.is_empty() {
            line[name] = value.into();
        }
    }
    let text = line.to_string();
    // The time makes the id unique.
    let line = RawLine::plain(text.as_bytes(), time.nanos().unsigned_abs());
    let document = normalize(
        &line,
        &Origin::Source(format!("{} {node} {pod}", component::FLUENTD)),
    );
    ensure!(
        document.stream() == component::FLUENTD,
        "the notice is in the stream {}",
        document.stream()
    );
    events.add(&document);
    Ok(())
}
