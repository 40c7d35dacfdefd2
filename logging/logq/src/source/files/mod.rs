//! Files, folders and standard input.
//!
//! Files are read in blocks of whole lines, on which all cores work; what they
//! make of them comes out in order. Memory is bounded whatever a file's size:
//! of each source a few blocks are held, and what a [`line::Joiner`] holds.

pub(super) mod blocks;
mod discover;
mod entries;
mod folder;
mod follow;
pub(super) mod input;
mod line_splitter;
mod pool;
mod rendered;
pub mod tail;
/// What is said to who types a word and means to search for it.
fn word_hint(path: &Path, error: &io::Error) -> &'static str {
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
    discover::{Container, Discovery, LogSource, PlainFile, discover},
    follow::feed_for,
    rendered::RenderedLine,
};
use self::{
    entries::{EntryWork, OrderedItems},
    pool::Pool,
    rendered::{CountWork, RenderWork, RenderedBlock},
};
use line::{Line, Place, normalize};

use super::{Entry, merge::Merged};
use crate::{
    filter::Filter,
    query::{Query, ResolvedContext},
    render::Style,
    summary::Summary,
};

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system's error.
    #[error("{path}: {error}{}", word_hint(path, error))]
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
    #[error("{path}: {count} of its items have no name or no namespace: they are no pods, and left out")]
    InvalidPods {
        /// The file.
        path: PathBuf,
        /// So many.
        count: usize,
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
            | Self::InvalidPods { path, .. } => Some(path),
            Self::Thread => None,
        }
    }
}

/// What has to be found out before it is known which lines are wanted: what a list of pods says, and all lines, of
/// whatever time. What cannot be read is missing in both, and told where lines are read.
///
/// # Errors
/// When one of the paths is not there, or a folder holds no files.
pub fn resolve(paths: &[PathBuf], query: &Query) -> Result<ResolvedContext, FileError> {
    let mut context = ResolvedContext::default();
    let pods = discover(paths)?.pods;
    for (namespace, pod, _) in pods.iter() {
        let origin = pods.origin(Place {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            uid: String::new(),
            container: String::new(),
        });
        context.learn_from(query, &normalize(&Line::plain(b"{}", 0), &origin));
    }
    for entry in open(paths, &query.context_sources())?.flatten() {
        context.learn_from(query, &entry.document);
    }
    Ok(context)
}

/// How many of the lines that fit a filter there are by component and level,
/// in parts that are to be joined.
///
/// # Errors
/// When one of the paths is not there, or a folder holds no files.
pub fn count_lines(
    paths: &[PathBuf],
    filter: &Filter,
) -> Result<impl Iterator<Item = Result<(Summary, u64), FileError>> + use<>, FileError> {
    let pool = Pool::new(CountWork::new(filter.clone()));
    // Their order does not matter: each is read as if it were the only one.
    let Discovery { sources, errors, .. } = discover(paths)?;
    let sources = sources.into_iter();
    let sources: Vec<_> = sources.map(|source| pool.source(source, filter, 1)).collect();
    Ok(errors.into_iter().map(Err).chain(sources.into_iter().flatten()))
}

/// The lines that fit a filter as they are shown, the oldest first where there
/// are several sources.
///
/// # Errors
/// When one of the paths is not there, or a folder holds no files.
pub fn render_lines(
    paths: &[PathBuf],
    filter: &Filter,
    style: &Style,
) -> Result<impl Iterator<Item = Result<RenderedLine, FileError>> + use<>, FileError> {
    let work = RenderWork::new(filter.clone(), style.clone());
    let Discovery { sources, errors, .. } = discover(paths)?;
    let lines = Merged::new(OrderedItems::all(sources, filter, work));
    Ok(errors.into_iter().map(Err).chain(lines))
}

/// The lines of these files and folders that fit a filter, the oldest first
/// where there are several.
///
/// # Errors
/// When one of them is not there, or a folder holds none.
pub fn open(
    paths: &[PathBuf],
    filter: &Filter,
) -> Result<impl Iterator<Item = Result<Entry, FileError>> + use<>, FileError> {
    let work = EntryWork {
        filter: filter.clone(),
    };
    let Discovery { sources, errors, .. } = discover(paths)?;
    let lines = Merged::new(OrderedItems::all(sources, filter, work));
    Ok(errors.into_iter().map(Err).chain(lines))
}
