//! What every source can be asked.

use std::io::{self, Write};

use super::{Entry, opensearch::Store};
use crate::{
    filter::Filter,
    opensearch,
    plan::{Known, Wanted},
};

/// In which order lines are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The oldest first.
    Forward,
    /// The newest first.
    Backward,
}

/// Lines one after the other. After an error others may follow; what it says
/// is missing among them.
pub type Lines<'s> = Box<dyn Iterator<Item = Result<Entry, SourceError>> + 's>;

/// Why a source does not answer, or not all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// OpenSearch.
    #[error(transparent)]
    OpenSearch(#[from] opensearch::Error),
}

impl SourceError {
    /// Whether asking again later can help without anybody changing anything.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::OpenSearch(error) => error.is_passing(),
        }
    }
}

/// Where lines are asked for. Chosen once: what it cannot answer is an error,
/// never another source's answer.
#[non_exhaustive]
pub enum Source {
    /// OpenSearch.
    OpenSearch(Store),
}

impl Source {
    /// What has to be found out before it is known which lines are wanted.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn known(&self, wanted: &Wanted) -> Result<Known, SourceError> {
        match self {
            Self::OpenSearch(store) => Ok(store.known(wanted)?),
        }
    }

    /// The lines that a filter wants, by their times. Only a source that
    /// [gives parts](Self::gives_parts) gives them backward.
    #[must_use]
    pub fn lines(&self, filter: &Filter, order: Order) -> Lines<'_> {
        match self {
            Self::OpenSearch(store) => Box::new(store.lines(filter, order).map(|line| Ok(line?))),
        }
    }

    /// Whether the first or the last lines come without all others being
    /// read, and [`Self::count`] says how many there are.
    #[must_use]
    pub const fn gives_parts(&self) -> bool {
        match self {
            Self::OpenSearch(_) => true,
        }
    }

    /// How many lines a filter wants; none where that is only known when all
    /// of them have been read.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn count(&self, filter: &Filter) -> Result<Option<u64>, SourceError> {
        match self {
            Self::OpenSearch(store) => Ok(store.count(filter)?),
        }
    }

    /// Writes what would be asked for the lines of this filter.
    ///
    /// # Errors
    /// The output's.
    pub fn explain(&self, filter: &Filter, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::OpenSearch(store) => store.explain(filter, out),
        }
    }
}
