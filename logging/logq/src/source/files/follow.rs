//! Feeds for growing files and pipes.

use std::{
    collections::{HashSet, VecDeque},
    path::PathBuf,
    time::Duration,
};

use super::{
    FileError, FileSource, open, resolve,
    tail::{Start, Tail},
};
use crate::{
    entry::Entry,
    query::{Query, ResolvedContext},
    source::{
        feed::{Backlog, Feed, FeedEnd, FeedOptions, FeedSink},
        missing::missing_so_far,
    },
};

/// How long to wait for lines before the next check for cancellation.
const POLL_TIMEOUT: Duration = Duration::from_millis(200);

/// Maximum number of lines per batch.
const BATCH: usize = 1_000;

/// Lines of a pipe. All of them are new.
pub struct PipeFeed {
    paths: Vec<PathBuf>,
    query: Query,
}

/// Lines of growing files.
pub struct FileFeed {
    paths: Vec<PathBuf>,
    query: Query,
    options: FeedOptions,
}

/// The feed of these files.
#[must_use]
pub fn feed_for(paths: Vec<PathBuf>, query: &Query, options: FeedOptions) -> Box<dyn Feed> {
    let query = query.clone();
    if paths.iter().all(|path| path.as_os_str() == "-") {
        return Box::new(PipeFeed { paths, query });
    }
    Box::new(FileFeed {
        paths,
        query,
        options,
    })
}

impl Feed for PipeFeed {
    fn follow(self: Box<Self>, sink: &FeedSink) -> Result<(), FeedEnd> {
        sink.end_past()?;
        for entry in open(&self.paths, &self.query.candidates())? {
            sink.send_new(vec![entry?])?;
        }
        Ok(())
    }
}

impl Feed for FileFeed {
    fn follow(self: Box<Self>, sink: &FeedSink) -> Result<(), FeedEnd> {
        // Everything written from now on is new.
        let mut tail = Tail::open(&self.paths, Start::End)?;
        let mut recent_ids = self.send_past(sink)?;
        sink.end_past()?;
        let source = FileSource {
            paths: self.paths.clone(),
        };
        for note in missing_so_far(&self.query, &source) {
            sink.send_note(note)?;
        }
        loop {
            let entries = tail.poll(POLL_TIMEOUT);
            for error in tail.take_errors() {
                sink.send_note(error.to_string())?;
            }
            if entries.is_empty() {
                // The tail has passed the lines that were read twice.
                recent_ids = RecentIds::default();
                sink.wait(Duration::ZERO)?;
            } else {
                let new = entries.into_iter().filter(|entry| !recent_ids.contains(entry));
                sink.send_new(new.collect())?;
            }
        }
    }
}

impl FileFeed {
    /// Sends existing lines.
    fn send_past(&self, sink: &FeedSink) -> Result<RecentIds, FeedEnd> {
        let context = self.resolve(sink)?;
        let mut recent_ids = RecentIds::default();
        if self.options.backlog == Backlog::Last(0) {
            return Ok(recent_ids);
        }
        let filter = if self.options.context_lines.is_wanted() {
            self.query.scope(&context)
        } else {
            self.query.filter(&context)
        };
        let entries = match open(&self.paths, &filter) {
            // A folder may still be empty.
            Err(FileError::Empty(_)) => return Ok(recent_ids),
            entries => entries?,
        };
        let mut batch = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) => {
                    recent_ids.add(&entry);
                    batch.push(entry);
                }
                Err(error) => sink.send_note(error.to_string())?,
            }
            if batch.len() >= BATCH {
                sink.send_past(std::mem::take(&mut batch))?;
            }
        }
        sink.send_past(batch)?;
        Ok(recent_ids)
    }

    fn resolve(&self, sink: &FeedSink) -> Result<ResolvedContext, FeedEnd> {
        if !self.query.needs_context() {
            return Ok(ResolvedContext::default());
        }
        let context = match resolve(&self.paths, &self.query) {
            Err(FileError::Empty(_)) => ResolvedContext::default(),
            context => context?,
        };
        sink.send_context(context.clone())?;
        Ok(context)
    }
}

/// Ids of the last existing lines, to drop lines that were written while those were read.
#[derive(Default)]
struct RecentIds {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl RecentIds {
    const MAX_IDS: usize = 100_000;

    fn add(&mut self, entry: &Entry) {
        let Some(id) = entry.document.id() else { return };
        if self.ids.insert(id.to_owned()) {
            self.order.push_back(id.to_owned());
        }
        if self.order.len() > Self::MAX_IDS
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }

    fn contains(&self, entry: &Entry) -> bool {
        entry.document.id().is_some_and(|id| self.ids.contains(id))
    }
}
