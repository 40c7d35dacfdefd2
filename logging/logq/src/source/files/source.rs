//! Files as a source.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::PathBuf,
};

use super::{FileError, feed_for, open, resolve};
use crate::{
    entry::Order,
    filter::Filter,
    query::{Query, ResolvedContext},
    source::{
        error::SourceError,
        feed::{Feed, FeedOptions},
        line_source::{Entries, LineSource},
    },
};

/// Number of lines that are sampled for values.
const MAX_SAMPLED_LINES: usize = 20_000;

/// Files, folders, or standard input.
pub struct FileSource {
    pub paths: Vec<PathBuf>,
}

impl From<FileError> for SourceError {
    fn from(error: FileError) -> Self {
        Self::new(error, false)
    }
}

impl LineSource for FileSource {
    fn resolve(&self, query: &Query) -> Result<ResolvedContext, SourceError> {
        Ok(resolve(&self.paths, query)?)
    }

    fn lines(&self, filter: &Filter, _order: Order) -> Result<Entries<'_>, SourceError> {
        Ok(Box::new(open(&self.paths, filter)?.map(|line| Ok(line?))))
    }

    fn explain(&self, _filter: &Filter, out: &mut dyn Write) -> io::Result<()> {
        let files = self.paths.iter().map(|file| file.display().to_string());
        let files = files.collect::<Vec<_>>().join(", ");
        writeln!(out, "files: {}", terminal::escaped(&files))
    }

    fn has_match(&self, filter: &Filter) -> Option<bool> {
        match open(&self.paths, filter).ok()?.next() {
            None => Some(false),
            Some(line) => line.ok().map(|_| true),
        }
    }

    fn values(&self, filter: &Filter, field: &str) -> BTreeSet<String> {
        let lines = open(&self.paths, filter).into_iter().flatten().flatten();
        lines
            .take(MAX_SAMPLED_LINES)
            .filter_map(|entry| entry.document.text(field).map(str::to_owned))
            .collect()
    }

    fn into_feed(self: Box<Self>, query: &Query, options: FeedOptions) -> Option<Box<dyn Feed>> {
        Some(feed_for(self.paths, query, options))
    }
}
