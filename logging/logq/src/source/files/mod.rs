//! Reads files, folders and standard input.
//!
//! All cores process blocks of whole lines; results keep the order. Memory is bounded: a few blocks for each source,
//! and the [`line::Joiner`]s.

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
/// A hint for users who type a search word as a file name.
fn word_hint(path: &Path, error: &io::Error) -> &'static str {
    let is_word = path.components().count() == 1 && path.extension().is_none();
    if is_word && error.kind() == io::ErrorKind::NotFound {
        ". Arguments without an option are files: --grep WORD searches texts, -f FIELD=VALUE tests a field, \
         `logq trace ID` shows a trace"
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

#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("{path}: {error}{}", word_hint(path, error))]
    Io { path: PathBuf, error: io::Error },
    /// A folder without log files.
    #[error("{0}: no file of log lines in there (*.log, *.log.*, *.json, *.jsonl, also .gz and .zst)")]
    Empty(PathBuf),
    /// A bug in logq.
    #[error("a thread that reads lines has failed")]
    Thread,
    /// Some items of a pod list are not pods.
    #[error("{path}: skipped {count} items without a name or a namespace")]
    InvalidPods { path: PathBuf, count: usize },
    /// An invalid pod list.
    #[error("{path}: {error}")]
    Pods { path: PathBuf, error: line::PodsError },
}

impl FileError {
    fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |error| Self::Io { path, error }
    }

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

/// Resolves the context from pod lists and all lines of any time. Ignores unreadable files; reading the lines reports
/// them.
///
/// # Errors
/// A path does not exist, or a folder contains no log files.
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

/// Counts the matching lines by component and level, in parts to merge.
///
/// # Errors
/// A path does not exist, or a folder contains no log files.
pub fn count_lines(
    paths: &[PathBuf],
    filter: &Filter,
) -> Result<impl Iterator<Item = Result<(Summary, u64), FileError>> + use<>, FileError> {
    let pool = Pool::new(CountWork::new(filter.clone()));
    // Order does not matter, so read each source as if it were the only one.
    let Discovery { sources, errors, .. } = discover(paths)?;
    let sources = sources.into_iter();
    let sources: Vec<_> = sources.map(|source| pool.source(source, filter, 1)).collect();
    Ok(errors.into_iter().map(Err).chain(sources.into_iter().flatten()))
}

/// Renders the matching lines, by time if there are several sources.
///
/// # Errors
/// A path does not exist, or a folder contains no log files.
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

/// Reads the matching lines, by time if there are several sources.
///
/// # Errors
/// A path does not exist, or a folder contains no log files.
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
