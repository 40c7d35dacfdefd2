//! The sources of lines.
//!
//! A [`Source`] returns the lines of a filter. Tests ask all sources the same questions, so a search does not depend on
//! the source. Files also have a faster path.

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

/// A line from a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The normalised line.
    pub document: Document,
    /// The original line without its newline, if the source has it.
    pub raw: Option<Vec<u8>>,
}

/// The order of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    Forward,
    /// Newest first.
    Backward,
}

/// Lines may follow after an error; the error says what is missing.
pub type Entries<'s> = Box<dyn Iterator<Item = Result<Entry, SourceError>> + 's>;

/// Why a source fails, or is incomplete.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    #[error(transparent)]
    OpenSearch(#[from] client::Error),
    #[error(transparent)]
    Kubectl(#[from] kubectl::Error),
}

impl SourceError {
    /// Whether a later attempt can succeed without any change.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::OpenSearch(error) => error.is_transient(),
            Self::Kubectl(error) => error.is_transient(),
        }
    }
}

/// A source of lines. If it fails, it returns an error and never another source's lines; [`fall_back_to_pods`] is the
/// only exception.
#[non_exhaustive]
pub enum Source {
    OpenSearch(OpenSearchSource),
    Kubectl(KubectlSource),
    Combined(Box<CombinedSource>),
}

impl Source {
    /// Resolves the context of a query.
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

    /// The matching lines by time. Only a source that [supports limits](Self::supports_limits) supports backward order.
    #[must_use]
    pub fn lines(&self, filter: &Filter, order: Order) -> Entries<'_> {
        match self {
            Self::OpenSearch(store) => Box::new(store.lines(filter, order).map(|line| Ok(line?))),
            Self::Kubectl(pods) => Box::new(pods.lines(filter).map(|line| Ok(line?))),
            Self::Combined(combined) => Box::new(combined.lines(filter)),
        }
    }

    /// Whether the first or last lines can be read without all others, and [`Self::count`] works.
    #[must_use]
    pub const fn supports_limits(&self) -> bool {
        match self {
            Self::OpenSearch(_) => true,
            Self::Kubectl(_) | Self::Combined(_) => false,
        }
    }

    /// Counts the matching lines; None if that requires reading all of them.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn count(&self, filter: &Filter) -> Result<Option<u64>, SourceError> {
        match self {
            Self::OpenSearch(store) => Ok(store.count(filter)?),
            Self::Kubectl(_) | Self::Combined(_) => Ok(None),
        }
    }

    /// Whether [`Self::fill_summary`] is likely to succeed.
    #[must_use]
    pub fn can_count(&self, filter: &Filter, summary: &Summary) -> bool {
        matches!(self, Self::OpenSearch(_)) && opensearch::can_count(filter, summary)
    }

    /// Counts the matching lines without reading them; returns their number. None, with an unchanged summary, if they
    /// must be read.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn fill_summary(&self, filter: &Filter, summary: &mut Summary) -> Result<Option<u64>, SourceError> {
        match self {
            Self::OpenSearch(store) => Ok(store.fill_summary(filter, summary)?),
            Self::Kubectl(_) | Self::Combined(_) => Ok(None),
        }
    }

    /// Prints the requests for a filter.
    ///
    /// # Errors
    /// An I/O error of the output.
    pub fn explain(&self, filter: &Filter, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::OpenSearch(store) => store.explain(filter, out),
            Self::Kubectl(pods) => pods.explain(filter, out),
            Self::Combined(combined) => combined.explain(filter, out),
        }
    }

    /// Takes the notes, and the errors that are not among the lines.
    #[must_use]
    pub fn take_diagnostics(&self) -> (Vec<String>, Vec<String>) {
        match self {
            Self::OpenSearch(store) => (store.client().take_notes(), Vec::new()),
            Self::Kubectl(pods) => pods.take_diagnostics(),
            Self::Combined(combined) => combined.take_diagnostics(),
        }
    }
}
