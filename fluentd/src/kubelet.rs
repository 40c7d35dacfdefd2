//! Writes log files like the kubelet and the container runtime.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use chrono::{DateTime, SecondsFormat};

/// Maximum size of a part, bytes, as in containerd.
const PART: usize = 16 * 1024;
/// Time between two lines, nanoseconds.
const STEP_NANOS: i64 = 1_000;

/// A container's log.
pub struct KubeletLog {
    directory: PathBuf,
    file: File,
    /// Time of the last line, nanoseconds since 1970. Each line has a different one.
    clock: i64,
    rotated: u32,
}

impl KubeletLog {
    /// Creates a log under `<root>/pods`; `pod` is `<namespace>_<name>_<uid>`.
    ///
    /// # Errors
    /// When a folder or file cannot be created.
    pub fn new(root: &Path, pod: &str, container: &str) -> Result<Self> {
        let directory = root.join("pods").join(pod).join(container);
        fs::create_dir_all(&directory)?;
        let file = open(&directory)?;
        Ok(Self {
            directory,
            file,
            clock: 1_795_342_800_000_000_000,
            rotated: 0,
        })
    }

    /// Writes a line; splits a long one into parts.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn line(&mut self, text: &str) -> Result<()> {
        let mut parts = text.as_bytes().chunks(PART).peekable();
        while let Some(part) = parts.next() {
            self.part(part, parts.peek().is_none())?;
        }
        Ok(())
    }

    /// Writes a part of a line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn part(&mut self, bytes: &[u8], is_last: bool) -> Result<()> {
        self.clock += STEP_NANOS;
        let time = DateTime::from_timestamp_nanos(self.clock).to_rfc3339_opts(SecondsFormat::Nanos, true);
        let tag = if is_last { 'F' } else { 'P' };
        let line = [format!("{time} stdout {tag} ").as_bytes(), bytes, b"\n"].concat();
        Ok(self.file.write_all(&line)?)
    }

    /// Renames the file and starts a new one.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn rotate(&mut self) -> Result<()> {
        self.rotated += 1;
        let name = format!("0.log.20261122-{:06}", self.rotated);
        fs::rename(self.directory.join("0.log"), self.directory.join(name))?;
        self.file = open(&self.directory)?;
        Ok(())
    }
}

fn open(directory: &Path) -> Result<File> {
    Ok(OpenOptions::new()
        .create(true)
        .append(true)
        .open(directory.join("0.log"))?)
}
