//! What every source of lines can do.

use std::{
    collections::BTreeSet,
    io::{self, Write},
};

use super::{
    error::SourceError,
    feed::{Feed, FeedOptions},
};
use crate::{
    entry::{Entry, Order},
    filter::Filter,
    query::{Query, ResolvedContext},
    summary::Summary,
};

/// Lines may follow after an error; the error says what is missing.
pub type Entries<'s> = Box<dyn Iterator<Item = Result<Entry, SourceError>> + 's>;

/// A source of lines. If it fails, it returns an error and never another source's lines;
/// [`super::fall_back_to_pods`] is the only exception.
pub trait LineSource {
    /// Resolves the context of a query.
    ///
    /// # Errors
    /// [`SourceError`].
    fn resolve(&self, query: &Query) -> Result<ResolvedContext, SourceError>;

    /// The matching lines by time. Only a source that [supports limits](Self::supports_limits) supports backward order.
    ///
    /// # Errors
    /// [`SourceError`], if no line can be read.
    fn lines(&self, filter: &Filter, order: Order) -> Result<Entries<'_>, SourceError>;

    /// Prints the requests for a filter.
    ///
    /// # Errors
    /// An I/O error of the output.
    fn explain(&self, filter: &Filter, out: &mut dyn Write) -> io::Result<()>;

    /// Whether a line matches; None if the answer needs all lines, or the source fails.
    fn has_match(&self, filter: &Filter) -> Option<bool>;

    /// Values of a field in the matching lines. Incomplete for many lines or values.
    fn values(&self, filter: &Filter, field: &str) -> BTreeSet<String>;

    /// Whether [`Self::has_match`] and [`Self::values`] ask only the list of pods.
    fn lists_pods(&self) -> bool {
        false
    }

    /// Whether the first or last lines can be read without all others, and [`Self::count`] works.
    fn supports_limits(&self) -> bool {
        false
    }

    /// Counts the matching lines; None if that requires reading all of them.
    ///
    /// # Errors
    /// [`SourceError`].
    fn count(&self, _filter: &Filter) -> Result<Option<u64>, SourceError> {
        Ok(None)
    }

    /// Counts the lines that a filter leaves out because they have no level, unless [`Self::lines`] counts them.
    ///
    /// # Errors
    /// [`SourceError`].
    fn count_left_out(&self, _filter: &Filter) -> Result<(), SourceError> {
        Ok(())
    }

    /// Whether [`Self::fill_summary`] is likely to succeed.
    fn can_count(&self, _filter: &Filter, _summary: &Summary) -> bool {
        false
    }

    /// Counts the matching lines without reading them; returns their number. None, with an unchanged summary, if they
    /// must be read.
    ///
    /// # Errors
    /// [`SourceError`].
    fn fill_summary(&self, _filter: &Filter, _summary: &mut Summary) -> Result<Option<u64>, SourceError> {
        Ok(None)
    }

    /// A note with the age of the newest line of each requested component that is silent.
    fn freshness_note(&self, _query: &Query, _context: &ResolvedContext) -> Option<String> {
        None
    }

    /// Takes the notes, and the errors that are not among the lines.
    fn take_diagnostics(&self) -> (Vec<String>, Vec<String>) {
        (Vec::new(), Vec::new())
    }

    /// The feed of new lines; None if the source cannot be followed.
    fn into_feed(self: Box<Self>, _query: &Query, _options: FeedOptions) -> Option<Box<dyn Feed>> {
        None
    }
}
