//! Log files as the kubelet and the container runtime write them.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use chrono::{DateTime, SecondsFormat};

/// Longer lines are written in parts, as containerd does.
const PART: usize = 16 * 1024;
/// Between two lines.
const STEP_NANOS: i64 = 1_000;

/// One container's log.
pub struct Log {
    directory: PathBuf,
    file: File,
    /// Nanoseconds since 1970 of the last line; runs by itself, so that no two lines have the same.
    clock: i64,
    rotated: u32,
}

impl Log {
    /// A new one under `<root>/pods`; `pod` is `<namespace>_<name>_<uid>`.
    ///
    /// # Errors
    /// When it cannot be created.
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

    /// Writes one line, in parts where it is long.
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

    /// Writes one part of a line.
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

    /// Renames the file and goes on in a new one.
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
