//! From what is wanted to what is shown.

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

/// Why nothing, or not all, could be shown.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// What is asked for is unclear.
    #[error(transparent)]
    QueryError(#[from] QueryError),
    /// A list of fields.
    #[error(transparent)]
    Fields(#[from] FieldsError),
    /// A summary.
    #[error(transparent)]
    Summary(#[from] SummaryError),
    /// A view.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Standard input cannot be read a second time.
    #[error(
        "--{0} needs to read twice, first to learn which lines belong together: save the input in a file, \
         or name the components with -c and the traces with --trace"
    )]
    Twice(&'static str),
    /// Nor a third time.
    #[error(
        "--{0} beside a trace or a photo needs to read several times, first to learn whose connections the \
         broker's lines are about: save the input in a file, or leave the option out"
    )]
    TooOften(&'static str),
    /// A source that is asked.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// There is no source that can be asked.
    #[error(transparent)]
    ChooseError(#[from] ChooseError),
    /// OpenSearch, of an administrator.
    #[error(transparent)]
    OpenSearch(#[from] crate::opensearch::Error),
    /// An import.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Where OpenSearch is.
    #[error(transparent)]
    Settings(#[from] crate::opensearch::SettingsError),
    /// A task of an administrator's.
    #[error(transparent)]
    Admin(#[from] crate::admin::Error),
    /// Options that contradict each other.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// What the system has nothing left for.
    #[error("the system refuses a thread, or its signals: {0}")]
    System(std::io::Error),
    /// The output.
    #[error("output: {0}")]
    Output(#[from] std::io::Error),
}

/// The exit status where no line was found.
pub const EXIT_NO_MATCH: u8 = 1;

/// How it went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunReport {
    /// Lines that were found.
    pub found: u64,
    /// Lines of them that were shown, or counted.
    pub shown: u64,
    /// What a person should know.
    pub notes: Vec<String>,
    /// Files that could not be read.
    pub errors: Vec<String>,
    /// The exit status, where lines do not decide it.
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
    /// Something was shown that is no line.
    #[must_use]
    pub fn success() -> Self {
        Self {
            found: 1,
            shown: 1,
            ..Self::default()
        }
    }
}

/// What is said where nobody is known to use what is asked for.
pub fn unknown_dependencies_note(query: &Query, context: &ResolvedContext) -> Option<String> {
    let option = query.dependencies.option()?;
    (context.dependencies.is_empty() && !query.components.is_empty()).then(|| {
        format!(
            "--{option}: no line of these components says what they use (label {}); name it with -c",
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

/// Writes what was counted of so many lines.
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

/// How the lines are read among which some are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ReadMode {
    /// By their times, and all of them: they are counted.
    All,
    /// In this order, and no more than is needed.
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
        // Around a line are others of the same scope only.
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
