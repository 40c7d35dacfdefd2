//! Reads a source line by line.

use std::vec;

use line::{Line, Origin, normalize};

use super::{
    Entry, FileError, LogSource, RenderWork, RenderedBlock, RenderedLine,
    pool::{OrderedResults, Pool, Work},
};
use crate::{filter::Filter, source::merge::Timed};

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

impl SplitWork for RenderWork {
    type Item = RenderedLine;

    fn split(output: RenderedBlock) -> Vec<RenderedLine> {
        output.lines().collect()
    }
}

/// Converts lines to entries.
pub struct EntryWork {
    pub filter: Filter,
}

impl Work for EntryWork {
    type Output = Vec<Entry>;

    fn empty(&self) -> Self::Output {
        Vec::new()
    }

    fn add_line(&self, line: &Line<'_>, origin: &Origin, output: &mut Self::Output) {
        let document = normalize(line, origin);
        if self.filter.matches(&document) {
            let raw = Some(line.content.to_vec());
            output.push(Entry { document, raw });
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
        let pool = Pool::new(work);
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
