//! Files, folders and standard input.
//!
//! Files are read in blocks of whole lines, on which all cores work; what they
//! make of them comes out in order. Memory is bounded whatever a file's size:
//! of each source a few blocks are held, and what a [`line::Joiner`] holds.

pub(super) mod blocks;
mod find;
mod folder;
mod follow;
pub(super) mod input;
mod lines;
mod pool;
mod read;
mod straight;
pub mod tail;
/// What is said to who types a word and means to search for it.
fn is_a_file(path: &Path, error: &io::Error) -> &'static str {
    let is_word = path.components().count() == 1 && path.extension().is_none();
    if is_word && error.kind() == io::ErrorKind::NotFound {
        ". What stands alone is a file: --grep WORD looks for a text, -f FIELD=VALUE for a field, `logq trace ID` for a trace"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
};

pub use self::{
    find::{Behind, Container, Found, Plain, find},
    follow::follow,
    straight::Strip,
};
use self::{
    pool::Pool,
    read::{Entries, Reader},
    straight::{Counted, Piece, Written},
};
use line::{Line, Place, normalize};

use super::{Entry, merge::Merged};
use crate::{
    filter::Filter,
    plan::{Known, Wanted},
    render::Style,
    summary::Summary,
};

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system's error.
    #[error("{path}: {error}{}", is_a_file(path, error))]
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
    /// Items of a list of pods that are none.
    #[error("{path}: {many} of its items have no name or no namespace: they are no pods, and left out")]
    NoPods {
        /// The file.
        path: PathBuf,
        /// So many.
        many: usize,
    },
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

    /// What cannot be read.
    fn path(&self) -> Option<&Path> {
        match self {
            Self::Io { path, .. }
            | Self::Empty(path)
            | Self::Pods { path, .. }
            | Self::NoPods { path, .. } => Some(path),
            Self::Thread => None,
        }
    }
}

/// What has to be found out before it is known which lines are wanted: what a list of pods says, and all lines, of
/// whatever time. What cannot be read is missing in both, and told where lines are read.
///
/// # Errors
/// When one of the paths is not there, or a folder holds no files.
pub fn known(paths: &[PathBuf], wanted: &Wanted) -> Result<Known, FileError> {
    let mut known = Known::default();
    let pods = find(paths)?.pods;
    for (namespace, pod, _) in pods.iter() {
        let origin = pods.origin(Place {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            uid: String::new(),
            container: String::new(),
        });
        known.learn(wanted, &normalize(&Line::plain(b"{}", 0), &origin));
    }
    for entry in open(paths, &wanted.clues())?.flatten() {
        known.learn(wanted, &entry.document);
    }
    Ok(known)
}

/// How many of the lines that fit a filter there are by component and level,
/// in parts that are to be joined.
///
/// # Errors
/// When one of the paths is not there, or a folder holds no files.
pub fn counted(
    paths: &[PathBuf],
    wanted: &Filter,
) -> Result<impl Iterator<Item = Result<(Summary, u64), FileError>> + use<>, FileError> {
    let pool = Pool::new(Counted::new(wanted.clone()));
    // Their order does not matter: each is read as if it were the only one.
    let Behind { found, troubles, .. } = find(paths)?;
    let sources = found.into_iter();
    let sources: Vec<_> = sources.map(|found| pool.source(found, wanted, 1)).collect();
    Ok(troubles.into_iter().map(Err).chain(sources.into_iter().flatten()))
}

/// The lines that fit a filter as they are shown, the oldest first where there
/// are several sources.
///
/// # Errors
/// When one of the paths is not there, or a folder holds no files.
pub fn written(
    paths: &[PathBuf],
    wanted: &Filter,
    style: &Style,
) -> Result<impl Iterator<Item = Result<Strip, FileError>> + use<>, FileError> {
    let work = Written::new(wanted.clone(), style.clone());
    let Behind { found, troubles, .. } = find(paths)?;
    let lines = Merged::new(Reader::all(found, wanted, work));
    Ok(troubles.into_iter().map(Err).chain(lines))
}

/// The lines of these files and folders that fit a filter, the oldest first
/// where there are several.
///
/// # Errors
/// When one of them is not there, or a folder holds none.
pub fn open(
    paths: &[PathBuf],
    wanted: &Filter,
) -> Result<impl Iterator<Item = Result<Entry, FileError>> + use<>, FileError> {
    let work = Entries {
        wanted: wanted.clone(),
    };
    let Behind { found, troubles, .. } = find(paths)?;
    let lines = Merged::new(Reader::all(found, wanted, work));
    Ok(troubles.into_iter().map(Err).chain(lines))
}
