//! The broker's lines that are related to a trace, among those of the trace.

use std::{fmt::Display, io::Write};

use super::{Context, Outcome, Reading, SearchError, show, summarise};
use crate::{
    cli::Search,
    filter::{Filter, Literal},
    plan::{
        Known, Wanted,
        related::{Related, TAG, marked},
    },
    render::Renderer,
    source::Entry,
    summary::Summary,
};

/// Finds out which lines are related; `read` gives the lines that a filter
/// wants. Returns also what was missing.
pub fn learn<I, E>(
    wanted: &Wanted,
    known: &Known,
    read: impl Fn(&Filter) -> Result<I, SearchError>,
) -> Result<(Related, Vec<String>), SearchError>
where
    I: Iterator<Item = Result<Entry, E>>,
    E: Display,
{
    let mut related = Related::new(wanted);
    let mut errors = Vec::new();
    for entry in read(&Related::traced(wanted, known))? {
        match entry {
            Ok(entry) => related.see(&entry.document),
            Err(error) => errors.push(error.to_string()),
        }
    }
    if related.is_empty() {
        return Ok((related, errors));
    }
    for entry in read(&related.naming())? {
        match entry {
            Ok(entry) => related.learn(&entry.document),
            Err(error) => errors.push(error.to_string()),
        }
    }
    Ok((related, errors))
}

/// Lines of a trace, and those that are related to it.
pub struct Joined<'j> {
    /// What is related.
    pub related: &'j Related,
    /// The lines of the trace that are wanted.
    pub filter: Filter,
}

impl Joined<'_> {
    /// Marks a line that is related.
    fn mark(&self, entry: Entry) -> Entry {
        if self.filter.matches(&entry.document) || !self.related.has(&entry.document) {
            return entry;
        }
        Entry {
            document: marked(entry.document),
            raw: entry.raw,
        }
    }

    /// What is found among marked lines.
    fn found(&self) -> Filter {
        let marked = Filter::Is(schema::field::TAGS.to_owned(), Literal::new(TAG));
        Filter::Any(vec![self.filter.clone(), marked])
    }

    /// The lines that are found, the related ones marked, and others that are
    /// wanted around them.
    pub fn pick<I, E>(
        &self,
        around: Filter,
        read: impl Fn(&Filter) -> Result<I, SearchError>,
    ) -> Result<impl Iterator<Item = Result<Entry, E>>, SearchError>
    where
        I: Iterator<Item = Result<Entry, E>>,
    {
        let shown = Filter::Any(vec![self.found(), around]);
        let asked = Filter::Any(vec![shown.clone(), self.related.candidates()]);
        let entries = read(&asked)?.map(|entry| entry.map(|entry| self.mark(entry)));
        Ok(entries.filter(move |entry| match entry {
            Ok(entry) => shown.matches(&entry.document),
            Err(_) => true,
        }))
    }
}

/// Shows them.
pub fn lines<W, I, E>(
    search: &Search,
    joined: &Joined<'_>,
    scope: Filter,
    read: impl Fn(&Filter) -> Result<I, SearchError>,
    out: Renderer<W>,
    outcome: Outcome,
) -> Result<Outcome, SearchError>
where
    W: Write,
    I: Iterator<Item = Result<Entry, E>>,
    E: Display,
{
    if let Some(summary) = Summary::of(search)? {
        let entries = joined.pick(Filter::NOTHING, read)?;
        return summarise(entries, summary, out, outcome);
    }
    let around = if Context::of(&search.show).is_wanted() {
        scope
    } else {
        Filter::NOTHING
    };
    let entries = joined.pick(around, read)?;
    show(search, entries, Reading::All, &joined.found(), out, outcome)
}

/// Adds what was missing while it was found out, if that was not told.
pub fn told(mut outcome: Outcome, errors: Vec<String>) -> Outcome {
    for error in errors {
        if !outcome.errors.contains(&error) {
            outcome.errors.push(error);
        }
    }
    outcome
}
