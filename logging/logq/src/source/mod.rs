//! Where lines come from.
//!
//! A [`Source`] is asked and gives the lines that a filter wants; that a
//! search does not depend on which one it is, is checked by one table of
//! questions. Files have a faster way of their own.

mod choose;
pub mod combined;
pub mod files;
pub mod kubectl;
mod merge;
pub mod opensearch;
mod reach;

use std::io::{self, Write};

use line::Document;

pub use self::{
    choose::{ChooseError, ChosenSource, choose, fall_back_to_pods},
    merge::Timed,
};
use self::{combined::CombinedSource, kubectl::KubectlSource, opensearch::OpenSearchSource};
use crate::{
    filter::Filter,
    opensearch as client,
    query::{Query, ResolvedContext},
    summary::Summary,
};

/// A line that a source gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The line in the one shape.
    pub document: Document,
    /// As its program wrote it, without a newline, where the source has it.
    pub raw: Option<Vec<u8>>,
}

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
pub type Entries<'s> = Box<dyn Iterator<Item = Result<Entry, SourceError>> + 's>;

/// Why a source does not answer, or not all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// OpenSearch.
    #[error(transparent)]
    OpenSearch(#[from] client::Error),
    /// Pods.
    #[error(transparent)]
    Kubectl(#[from] kubectl::Error),
}

impl SourceError {
    /// Whether asking again later can help without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::OpenSearch(error) => error.is_transient(),
            Self::Kubectl(error) => error.is_transient(),
        }
    }
}

/// Where lines are asked for. What it cannot answer is an error, never another
/// source's answer; [`fall_back_to_pods`](super::fall_back_to_pods) has the one exception.
#[non_exhaustive]
pub enum Source {
    /// OpenSearch.
    OpenSearch(OpenSearchSource),
    /// Pods.
    Kubectl(KubectlSource),
    /// Both.
    Combined(Box<CombinedSource>),
}

impl Source {
    /// What has to be found out before it is known which lines are wanted.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn resolve(&self, query: &Query) -> Result<ResolvedContext, SourceError> {
        match self {
            Self::OpenSearch(store) => Ok(store.resolve(query)?),
            Self::Kubectl(pods) => Ok(pods.resolve(query)),
            Self::Combined(combined) => Ok(combined.resolve(query)),
        }
    }

    /// The lines that a filter wants, by their times. Only a source that
    /// [gives parts](Self::gives_parts) gives them backward.
    #[must_use]
    pub fn lines(&self, filter: &Filter, order: Order) -> Entries<'_> {
        match self {
            Self::OpenSearch(store) => Box::new(store.lines(filter, order).map(|line| Ok(line?))),
            Self::Kubectl(pods) => Box::new(pods.lines(filter).map(|line| Ok(line?))),
            Self::Combined(combined) => Box::new(combined.lines(filter)),
        }
    }

    /// Whether the first or the last lines come without all others being
    /// read, and [`Self::count`] says how many there are.
    #[must_use]
    pub const fn supports_limits(&self) -> bool {
        match self {
            Self::OpenSearch(_) => true,
            Self::Kubectl(_) | Self::Combined(_) => false,
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
            Self::Kubectl(_) | Self::Combined(_) => Ok(None),
        }
    }

    /// Whether [`Self::counts`] is likely to tell.
    #[must_use]
    pub fn can_count(&self, filter: &Filter, summary: &Summary) -> bool {
        matches!(self, Self::OpenSearch(_)) && opensearch::can_count(filter, summary)
    }

    /// Counts the lines that a filter wants without reading them; returns how
    /// many there are. None where they must be read: then nothing was counted.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn fill_summary(&self, filter: &Filter, summary: &mut Summary) -> Result<Option<u64>, SourceError> {
        match self {
            Self::OpenSearch(store) => Ok(store.fill_summary(filter, summary)?),
            Self::Kubectl(_) | Self::Combined(_) => Ok(None),
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
            Self::Combined(combined) => combined.explain(filter, out),
        }
    }

    /// What a person should know of what was asked, and what was missing
    /// beside the errors among the lines; all of it once.
    #[must_use]
    pub fn take_diagnostics(&self) -> (Vec<String>, Vec<String>) {
        match self {
            Self::OpenSearch(store) => (store.client().take_notes(), Vec::new()),
            Self::Kubectl(pods) => pods.take_diagnostics(),
            Self::Combined(combined) => combined.take_diagnostics(),
        }
    }
}
