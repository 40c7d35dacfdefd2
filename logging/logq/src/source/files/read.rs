//! One source, line by line.

use std::vec;

use line::{Line, Origin, normalize};

use super::{
    Entry, FileError, Found, Piece, Strip, Written,
    pool::{Ordered, Pool, Work},
};
use crate::{filter::Filter, source::merge::Timed};

/// The lines of one container or one file, in their order.
pub struct Reader<W: Lines> {
    blocks: Ordered<W>,
    ready: vec::IntoIter<W::One>,
}

/// Work that makes something of each line.
pub trait Lines: Work {
    /// What a line becomes.
    type One: Timed;

    /// One after the other.
    fn each(made: Self::Made) -> Vec<Self::One>;
}

impl Lines for Written {
    type One = Strip;

    fn each(made: Piece) -> Vec<Strip> {
        made.strips().collect()
    }
}

/// Makes entries of lines.
pub struct Entries {
    /// Others are left out.
    pub wanted: Filter,
}

impl Work for Entries {
    type Made = Vec<Entry>;

    fn nothing(&self) -> Self::Made {
        Vec::new()
    }

    fn line(&self, line: &Line<'_>, origin: &Origin, made: &mut Self::Made) {
        let document = normalize(line, origin);
        if self.wanted.matches(&document) {
            let raw = Some(line.content.to_vec());
            made.push(Entry { document, raw });
        }
    }
}

impl Lines for Entries {
    type One = Entry;

    fn each(made: Vec<Entry>) -> Vec<Entry> {
        made
    }
}

impl<W: Lines> Reader<W> {
    /// Readers of these sources; they open nothing yet.
    pub fn all(found: Vec<Found>, wanted: &Filter, work: W) -> Vec<Self> {
        let sources = found.len();
        let pool = Pool::new(work);
        let reader = |found| Self {
            blocks: pool.source(found, wanted, sources),
            ready: Vec::new().into_iter(),
        };
        found.into_iter().map(reader).collect()
    }
}

impl<W: Lines> Iterator for Reader<W> {
    type Item = Result<W::One, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(one) = self.ready.next() {
                return Some(Ok(one));
            }
            match self.blocks.next()? {
                Ok(made) => self.ready = W::each(made).into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
