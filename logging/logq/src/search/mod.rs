//! Runs a query and shows the result.

mod explain;
mod field_names;
pub mod files;
mod no_match;
mod older;
mod probe;
mod related;
mod selection;
pub mod source;
mod stale;
mod traces;

use std::{fmt::Display, io::Write};

pub use self::{explain::explain, field_names::unknown_field_notes};
pub(crate) use self::{
    no_match::missing_so_far,
    probe::SourceProbe,
    selection::{ContextLines, LineLimit, Selection, SelectionWriter},
};
use crate::{
    cli::{Search, ViewError},
    config::ConfigError,
    filter::Filter,
    follow::FollowError,
    import::ImportError,
    query::{Query, QueryError, ResolvedContext},
    render::{FieldsError, Renderer},
    source::{ChooseError, Entry, Order, SourceError, files::FileError},
    summary::{Summary, SummaryError, SummaryFormat},
};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    #[error(transparent)]
    QueryError(#[from] QueryError),
    #[error(transparent)]
    Fields(#[from] FieldsError),
    #[error(transparent)]
    Summary(#[from] SummaryError),
    #[error(transparent)]
    View(#[from] ViewError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    File(#[from] FileError),
    /// The query needs to read standard input twice.
    #[error(
        "--{0} needs two passes over the lines, but standard input is read once: save the input to a file, \
         or name components with -c and traces with --trace"
    )]
    Twice(&'static str),
    /// The query needs to read standard input several times.
    #[error(
        "--{0} with a trace or a photo needs several passes over the lines, but standard input is read once: \
         save the input to a file, or omit the option"
    )]
    TooOften(&'static str),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    ChooseError(#[from] ChooseError),
    #[error(transparent)]
    OpenSearch(#[from] crate::opensearch::Error),
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error(transparent)]
    Settings(#[from] crate::opensearch::SettingsError),
    #[error(transparent)]
    Admin(#[from] crate::admin::Error),
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// No thread or signal handler.
    #[error("cannot start a thread or handle signals: {0}")]
    System(std::io::Error),
    /// Cannot write the output.
    #[error("output: {0}")]
    Output(#[from] std::io::Error),
}

pub const EXIT_NO_MATCH: u8 = 1;

/// The report of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunReport {
    pub found: u64,
    /// Shown or counted lines.
    pub shown: u64,
    /// Notes for the user.
    pub notes: Vec<String>,
    /// Sources that were not read completely.
    pub errors: Vec<String>,
    /// The exit status, unless the number of lines determines it.
    pub status: Option<u8>,
}

fn collect_sorted<E: Display>(entries: impl Iterator<Item = Result<Entry, E>>) -> (Vec<Entry>, RunReport) {
    let mut report = RunReport::default();
    let mut found = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) => found.push(entry),
            Err(error) => report.errors.push(error.to_string()),
        }
    }
    found.sort_by_key(|entry| entry.document.timestamp());
    report.found = found.len() as u64;
    report.shown = report.found;
    (found, report)
}

impl RunReport {
    /// The report of a command that is not a search.
    #[must_use]
    pub fn success() -> Self {
        Self {
            found: 1,
            shown: 1,
            ..Self::default()
        }
    }
}

/// A note if no line names the requested dependencies.
pub fn unknown_dependencies_note(query: &Query, context: &ResolvedContext) -> Option<String> {
    let option = query.dependencies.option()?;
    (context.dependencies.is_empty() && !query.components.is_empty()).then(|| {
        format!(
            "--{option}: the dependencies of these components are unknown: no line has the label {}. Name \
             them with -c",
            query
                .dependencies
                .requested()
                .first()
                .map_or("", |used| used.label())
        )
    })
}

fn summarise<W: Write, E: Display>(
    entries: impl Iterator<Item = Result<Entry, E>>,
    mut summary: Summary,
    out: Renderer<W>,
    mut report: RunReport,
) -> Result<RunReport, SearchError> {
    for entry in entries {
        match entry {
            Ok(entry) => {
                report.found += 1;
                summary.add(&entry.document);
            }
            Err(error) => report.errors.push(error.to_string()),
        }
    }
    let found = report.found;
    write_summary(&summary, found, out, report)
}

/// Prints the summary.
fn write_summary<W: Write>(
    summary: &Summary,
    found: u64,
    mut out: Renderer<W>,
    mut report: RunReport,
) -> Result<RunReport, SearchError> {
    if let Some(field) = summary.missing().filter(|_| found > 0) {
        report.notes.push(no_match::field_not_found(field));
        report.status = report.errors.is_empty().then_some(EXIT_NO_MATCH);
    } else {
        let format = SummaryFormat::from_style(out.style());
        summary.write(&format, out.output())?;
    }
    out.flush()?;
    Ok(RunReport {
        found,
        shown: found,
        ..report
    })
}

/// How to read the entries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ReadMode {
    /// All, by time, to count them.
    All,
    /// In this order, until the selection is complete.
    UpTo(Order),
}

fn show_entries<W: Write, E: Display>(
    search: &Search,
    mut entries: impl Iterator<Item = Result<Entry, E>>,
    mode: ReadMode,
    filter: &Filter,
    mut out: Renderer<W>,
    mut report: RunReport,
) -> Result<RunReport, SearchError> {
    let (order, is_all) = match mode {
        ReadMode::All => (Order::Forward, true),
        ReadMode::UpTo(order) => (order, false),
    };
    let context_lines = ContextLines::from_options(&search.show);
    let mut selection = Selection::from_options(&search.show, order);
    let mut writer = SelectionWriter::new(context_lines);
    while is_all || !selection.is_complete() {
        let entry = match entries.next() {
            Some(Ok(entry)) => entry,
            Some(Err(error)) => {
                report.errors.push(error.to_string());
                continue;
            }
            None => break,
        };
        // Context lines must be in the same scope.
        let found = !context_lines.is_wanted() || filter.matches(&entry.document);
        report.found += u64::from(found);
        for line in selection.take(entry, found) {
            writer.write(&line, &mut out)?;
        }
    }
    for line in selection.finish() {
        writer.write(&line, &mut out)?;
    }
    report.shown = writer.found;
    out.finish()?;
    Ok(report)
}
