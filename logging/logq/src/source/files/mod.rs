//! Files, folders and standard input.
//!
//! Files are read in blocks of whole lines, on which all cores work; what they
//! make of them comes out in order. Memory is bounded whatever a file's size:
//! of each source a few blocks are held, and what a [`line::Joiner`] holds.

mod blocks;
mod find;
mod input;
mod lines;
mod merge;
mod pool;
mod read;
mod straight;
#[cfg(test)]
mod tests;

use std::{io, path::PathBuf};

use self::pool::Pool;
pub use self::{
    find::{Container, Found, Plain, find},
    merge::Merged,
    pool::Work,
    read::Reader,
    straight::{Counted, Piece, Written},
};
use super::Entry;
use crate::filter::Filter;

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
    /// A defect of this program.
    #[error("a thread that reads lines has failed")]
    Thread,
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

/// What the work makes of the only source that there is; None when there are
/// several, whose lines have to be brought in order.
///
/// # Errors
/// When it is not there, or a folder holds no files.
pub fn straight<W: Work>(
    paths: &[PathBuf],
    wanted: &Filter,
    work: W,
) -> Result<Option<impl Iterator<Item = Result<W::Made, FileError>>>, FileError> {
    Ok(match <[Found; 1]>::try_from(find(paths)?) {
        Ok([only]) => Some(Pool::new(work).source(only, wanted, 1)),
        Err(_) => None,
    })
}

/// The lines of these files and folders that fit a filter, the oldest first
/// where there are several.
///
/// # Errors
/// When one of them is not there, or a folder holds none.
pub fn open(paths: &[PathBuf], wanted: &Filter) -> Result<Merged, FileError> {
    Ok(Merged::new(Reader::all(find(paths)?, wanted)))
}
