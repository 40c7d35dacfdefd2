//! Files, folders and standard input.
//!
//! Memory is bounded whatever a file's size: of each source one line is held,
//! and what a [`line::Joiner`] holds.

mod find;
mod merge;
mod read;

use std::{io, path::PathBuf};

pub use self::{
    find::{Container, Found, Plain, find},
    merge::Merged,
    read::Reader,
};
use super::Entry;

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system's error.
    #[error("{path}: {error}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        error: io::Error,
    },
    /// A folder without a single file of log lines.
    #[error("{0}: no file of log lines in there (*.log, *.log.*, *.json, *.jsonl, also .gz and .zst)")]
    Empty(PathBuf),
    /// A list of pods that is none.
    #[error("{path}: {error}")]
    Pods {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: line::PodsError,
    },
}

impl FileError {
    fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |error| Self::Io { path, error }
    }
}

/// All lines of these files and folders, the oldest first where there are
/// several.
///
/// # Errors
/// When one of them is not there, or a folder holds none.
pub fn open(paths: &[PathBuf]) -> Result<Merged, FileError> {
    let found = find(paths)?;
    Ok(Merged::new(found.into_iter().map(Reader::new).collect()))
}
