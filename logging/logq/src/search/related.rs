//! Adds the broker's related lines to a trace.

use std::{fmt::Display, io::Write};

use super::{ContextLines, ReadMode, RunReport, SearchError, show_entries, summarise};
use crate::{
    cli::Search,
    filter::{Filter, Literal},
    query::{
        Query, ResolvedContext,
        related::{Related, TAG, tag_related},
    },
    render::Renderer,
    source::Entry,
    summary::Summary,
};

/// Finds the related lines; `read` returns the lines of a filter. Also returns errors.
pub fn find_related<I, E>(
    query: &Query,
    context: &ResolvedContext,
    read: impl Fn(&Filter) -> Result<I, SearchError>,
) -> Result<(Related, Vec<String>), SearchError>
where
    I: Iterator<Item = Result<Entry, E>>,
    E: Display,
{
    let mut related = Related::new(query);
    let mut errors = Vec::new();
    for entry in read(&Related::trace_filter(query, context))? {
        match entry {
            Ok(entry) => related.add_trace_line(&entry.document),
            Err(error) => errors.push(error.to_string()),
        }
    }
    if related.is_empty() {
        return Ok((related, errors));
    }
    for entry in read(&related.name_lines())? {
        match entry {
            Ok(entry) => related.add_connection(&entry.document),
            Err(error) => errors.push(error.to_string()),
        }
    }
    Ok((related, errors))
}

/// Lines of a trace and their related lines.
pub struct TraceLines<'j> {
    pub related: &'j Related,
    /// The matching lines of the trace.
    pub filter: Filter,
}

impl TraceLines<'_> {
    /// Tags a related line.
    fn mark(&self, entry: Entry) -> Entry {
        if self.filter.matches(&entry.document) || !self.related.contains(&entry.document) {
            return entry;
        }
        Entry {
            document: tag_related(entry.document),
            raw: entry.raw,
        }
    }

    /// Matches among tagged lines.
    fn match_filter(&self) -> Filter {
        let tag_related = Filter::Equals(schema::field::TAGS.to_owned(), Literal::new(TAG));
        Filter::Any(vec![self.filter.clone(), tag_related])
    }

    /// Reads the matches, tagged related lines, and context lines.
    pub fn select<I, E>(
        &self,
        context_filter: Filter,
        read: impl Fn(&Filter) -> Result<I, SearchError>,
    ) -> Result<impl Iterator<Item = Result<Entry, E>>, SearchError>
    where
        I: Iterator<Item = Result<Entry, E>>,
    {
        let shown = Filter::Any(vec![self.match_filter(), context_filter]);
        let fetched = Filter::Any(vec![shown.clone(), self.related.candidates()]);
        let entries = read(&fetched)?.map(|entry| entry.map(|entry| self.mark(entry)));
        Ok(entries.filter(move |entry| match entry {
            Ok(entry) => shown.matches(&entry.document),
            Err(_) => true,
        }))
    }
}

/// Prints the lines.
pub fn show_lines<W, I, E>(
    search: &Search,
    trace_lines: &TraceLines<'_>,
    scope: Filter,
    read: impl Fn(&Filter) -> Result<I, SearchError>,
    out: Renderer<W>,
    report: RunReport,
) -> Result<RunReport, SearchError>
where
    W: Write,
    I: Iterator<Item = Result<Entry, E>>,
    E: Display,
{
    if let Some(summary) = Summary::from_options(search)? {
        let entries = trace_lines.select(Filter::NOTHING, read)?;
        return summarise(entries, summary, out, report);
    }
    let context_filter = if ContextLines::from_options(&search.show).is_wanted() {
        scope
    } else {
        Filter::NOTHING
    };
    let entries = trace_lines.select(context_filter, read)?;
    show_entries(
        search,
        entries,
        ReadMode::All,
        &trace_lines.match_filter(),
        out,
        report,
    )
}

/// Adds errors that are not yet in the report.
pub fn add_errors(mut report: RunReport, errors: Vec<String>) -> RunReport {
    for error in errors {
        if !report.errors.contains(&error) {
            report.errors.push(error);
        }
    }
    report
}
