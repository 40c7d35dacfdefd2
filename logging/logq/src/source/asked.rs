//! What every source can be asked.

use std::io::{self, Write};

use super::{
    Entry,
    both::Both,
    kubectl::{self, Kubectl},
    opensearch::{self as opensearch_source, Store},
};
use crate::{
    filter::Filter,
    opensearch,
    plan::{Known, Wanted},
    summary::Summary,
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
    /// Pods.
    #[error(transparent)]
    Kubectl(#[from] kubectl::Error),
}

impl SourceError {
    /// Whether asking again later can help without anybody changing anything.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::OpenSearch(error) => error.is_passing(),
            Self::Kubectl(error) => error.is_passing(),
        }
    }
}

/// Where lines are asked for. What it cannot answer is an error, never another
/// source's answer; [`fall_back_to_pods`](super::fall_back_to_pods) has the one exception.
#[non_exhaustive]
pub enum Source {
    /// OpenSearch.
    OpenSearch(Store),
    /// Pods.
    Kubectl(Kubectl),
    /// Both.
    Both(Box<Both>),
}

impl Source {
    /// What has to be found out before it is known which lines are wanted.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn known(&self, wanted: &Wanted) -> Result<Known, SourceError> {
        match self {
            Self::OpenSearch(store) => Ok(store.known(wanted)?),
            Self::Kubectl(pods) => Ok(pods.known(wanted)),
            Self::Both(both) => Ok(both.known(wanted)),
        }
    }

    /// The lines that a filter wants, by their times. Only a source that
    /// [gives parts](Self::gives_parts) gives them backward.
    #[must_use]
    pub fn lines(&self, filter: &Filter, order: Order) -> Lines<'_> {
        match self {
            Self::OpenSearch(store) => Box::new(store.lines(filter, order).map(|line| Ok(line?))),
            Self::Kubectl(pods) => Box::new(pods.lines(filter).map(|line| Ok(line?))),
            Self::Both(both) => Box::new(both.lines(filter)),
        }
    }

    /// Whether the first or the last lines come without all others being
    /// read, and [`Self::count`] says how many there are.
    #[must_use]
    pub const fn gives_parts(&self) -> bool {
        match self {
            Self::OpenSearch(_) => true,
            Self::Kubectl(_) | Self::Both(_) => false,
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
            Self::Kubectl(_) | Self::Both(_) => Ok(None),
        }
    }

    /// Whether [`Self::counts`] is likely to tell.
    #[must_use]
    pub fn can_count(&self, filter: &Filter, summary: &Summary) -> bool {
        matches!(self, Self::OpenSearch(_)) && opensearch_source::can_count(filter, summary)
    }

    /// Counts the lines that a filter wants without reading them; returns how
    /// many there are. None where they must be read: then nothing was counted.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn counts(&self, filter: &Filter, summary: &mut Summary) -> Result<Option<u64>, SourceError> {
        match self {
            Self::OpenSearch(store) => Ok(store.counts(filter, summary)?),
            Self::Kubectl(_) | Self::Both(_) => Ok(None),
        }
    }

    /// Writes what would be asked for the lines of this filter.
    ///
    /// # Errors
    /// The output's.
    pub fn explain(&self, filter: &Filter, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::OpenSearch(store) => store.explain(filter, out),
            Self::Kubectl(pods) => pods.explain(filter, out),
            Self::Both(both) => both.explain(filter, out),
        }
    }

    /// What a person should know of what was asked, and what was missing
    /// beside the errors among the lines; all of it once.
    #[must_use]
    pub fn told(&self) -> (Vec<String>, Vec<String>) {
        match self {
            Self::OpenSearch(store) => (store.client().notes(), Vec::new()),
            Self::Kubectl(pods) => pods.told(),
            Self::Both(both) => both.told(),
        }
    }
}
