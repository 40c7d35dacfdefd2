//! Reads a source line by line.

use std::vec;

use log_normalizer::{Origin, RawLine, json::Arena};

use super::{
    FileError, LogSource,
    pool::{OrderedResults, Work, WorkerPool},
};
use crate::{
    entry::{Entry, Timed},
    filter::{Filter, Lack, Matcher},
};

/// The items of one source, in order.
pub struct OrderedItems<W: SplitWork> {
    blocks: OrderedResults<W>,
    ready: vec::IntoIter<W::Item>,
}

/// Work whose output can be split into one item per line.
pub trait SplitWork: Work {
    type Item: Timed;

    fn split(output: Self::Output) -> Vec<Self::Item>;
}

/// Converts lines to entries.
pub struct EntryWork {
    pub matcher: Matcher,
}

impl Work for EntryWork {
    type Output = Vec<Entry>;

    fn empty(&self) -> Self::Output {
        Vec::new()
    }

    fn add_line(
        &self,
        line: &RawLine<'_>,
        origin: &Origin,
        arena: &Arena,
        output: &mut Self::Output,
    ) -> Option<Lack> {
        match self.matcher.find(line, origin, arena) {
            Ok(found) => {
                let raw = Some(line.content.to_vec());
                let document = found.into_document();
                output.push(Entry { document, raw });
                None
            }
            Err(lack) => lack,
        }
    }
}

impl SplitWork for EntryWork {
    type Item = Entry;

    fn split(output: Vec<Entry>) -> Vec<Entry> {
        output
    }
}

impl<W: SplitWork> OrderedItems<W> {
    /// Creates readers for the sources, without opening them.
    pub fn all(found: Vec<LogSource>, filter: &Filter, work: W) -> Vec<Self> {
        let sources = found.len();
        let pool = WorkerPool::new(work);
        let reader = |found| Self {
            blocks: pool.source(found, filter, sources),
            ready: Vec::new().into_iter(),
        };
        found.into_iter().map(reader).collect()
    }
}

impl<W: SplitWork> Iterator for OrderedItems<W> {
    type Item = Result<W::Item, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(one) = self.ready.next() {
                return Some(Ok(one));
            }
            match self.blocks.next()? {
                Ok(output) => self.ready = W::split(output).into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
