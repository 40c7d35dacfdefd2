//! Reads files, folders and standard input.
//!
//! All cores process blocks of whole lines; results keep the order. Memory is bounded: a few blocks for each source,
//! and the [`log_normalizer::Joiner`]s.

pub(crate) mod blocks;
mod discover;
mod entries;
mod folder;
mod follow;
pub(super) mod input;
mod line_splitter;
pub(crate) mod pool;
mod source;
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

use std::{
    io,
    path::{Path, PathBuf},
};

pub use self::{
    discover::{ContainerFiles, Discovery, LogSource, PlainFile, discover},
    entries::SplitWork,
    follow::feed_for,
    pool::Work,
    source::FileSource,
};
use self::{
    entries::{EntryWork, OrderedItems},
    pool::WorkerPool,
};
use log_normalizer::{ContainerRef, RawLine, normalize};

use super::merge::Merged;
use crate::{
    entry::Entry,
    filter::{Filter, Matcher},
    query::{Query, ResolvedContext},
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
    Pods {
        path: PathBuf,
        error: log_normalizer::PodListError,
    },
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
        let origin = pods.origin(ContainerRef {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            uid: String::new(),
            container: String::new(),
        });
        context.learn_from(query, &normalize(&RawLine::plain(b"{}", 0), &origin));
    }
    for entry in open(paths, &query.context_sources())?.flatten() {
        context.learn_from(query, &entry.document);
    }
    Ok(context)
}

/// Processes all lines in blocks, in any order.
///
/// # Errors
/// A path does not exist, or a folder contains no log files.
pub fn process_blocks<W: Work>(
    paths: &[PathBuf],
    filter: &Filter,
    work: W,
) -> Result<impl Iterator<Item = Result<W::Output, FileError>> + use<W>, FileError> {
    let pool = WorkerPool::new(work);
    // Order does not matter, so read each source as if it were the only one.
    let Discovery { sources, errors, .. } = discover(paths)?;
    let sources = sources.into_iter();
    let sources: Vec<_> = sources.map(|source| pool.source(source, filter, 1)).collect();
    Ok(errors.into_iter().map(Err).chain(sources.into_iter().flatten()))
}

/// Processes all lines, by time if there are several sources.
///
/// # Errors
/// A path does not exist, or a folder contains no log files.
pub fn process_lines<W: SplitWork>(
    paths: &[PathBuf],
    filter: &Filter,
    work: W,
) -> Result<impl Iterator<Item = Result<W::Item, FileError>> + use<W>, FileError> {
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
    let matcher = Matcher::new(filter.clone());
    process_lines(paths, filter, EntryWork { matcher })
}
