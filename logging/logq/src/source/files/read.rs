//! One source, line by line.

use std::collections::VecDeque;

use line::{Line, Origin, normalize};

use super::{
    Entry, FileError, Found,
    pool::{Ordered, Pool, Work},
};
use crate::filter::Filter;

/// Reads the lines of one container or one file, in their order.
pub struct Reader {
    blocks: Ordered<Entries>,
    ready: VecDeque<Entry>,
}

/// Makes entries of lines.
pub struct Entries {
    /// Others are left out.
    pub wanted: Filter,
}

impl Work for Entries {
    type Made = VecDeque<Entry>;

    fn nothing(&self) -> Self::Made {
        VecDeque::new()
    }

    fn line(&self, line: &Line<'_>, origin: &Origin, made: &mut Self::Made) {
        let document = normalize(line, origin);
        if self.wanted.matches(&document) {
            let raw = Some(line.content.to_vec());
            made.push_back(Entry { document, raw });
        }
    }
}

impl Reader {
    /// Readers of these sources; they open nothing yet.
    pub fn all(found: Vec<Found>, wanted: &Filter) -> Vec<Self> {
        let sources = found.len();
        let pool = Pool::new(Entries {
            wanted: wanted.clone(),
        });
        let reader = |found| Self {
            blocks: pool.source(found, wanted, sources),
            ready: VecDeque::new(),
        };
        found.into_iter().map(reader).collect()
    }
}

impl Iterator for Reader {
    type Item = Result<Entry, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return Some(Ok(entry));
            }
            match self.blocks.next()? {
                Ok(ready) => self.ready = ready,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
