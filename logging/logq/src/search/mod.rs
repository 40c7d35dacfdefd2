//! From what is wanted to what is shown.

mod explain;
pub mod files;
mod names;
mod nothing;
mod older;
mod related;
mod selection;
pub mod source;
mod stale;
mod there;
mod traces;

use std::{fmt::Display, io::Write};

pub use self::{explain::explain, names::unknown as unknown_names};
pub(crate) use self::{
    nothing::so_far,
    selection::{Context, Part, Selection, Written},
    there::There,
};
use crate::{
    cli::{NoView, Search},
    config::ConfigError,
    filter::Filter,
    follow::NoFollow,
    import::ImportError,
    plan::{Known, Unclear, Wanted},
    render::{NoFields, Renderer},
    source::{Entry, NoSource, Order, SourceError, files::FileError},
    summary::{NoSummary, Shape, Summary},
};

/// Why nothing, or not all, could be shown.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// What is asked for is unclear.
    #[error(transparent)]
    Unclear(#[from] Unclear),
    /// A list of fields.
    #[error(transparent)]
    Fields(#[from] NoFields),
    /// A summary.
    #[error(transparent)]
    Summary(#[from] NoSummary),
    /// A view.
    #[error(transparent)]
    View(#[from] NoView),
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
    NoSource(#[from] NoSource),
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
    Follow(#[from] NoFollow),
    /// What the system has nothing left for.
    #[error("the system refuses a thread, or its signals: {0}")]
    System(std::io::Error),
    /// The output.
    #[error("output: {0}")]
    Output(#[from] std::io::Error),
}

/// The exit status where no line was found.
pub const NOTHING: u8 = 1;

/// How it went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
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

fn collected<E: Display>(entries: impl Iterator<Item = Result<Entry, E>>) -> (Vec<Entry>, Outcome) {
    let mut outcome = Outcome::default();
    let mut found = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) => found.push(entry),
            Err(error) => outcome.errors.push(error.to_string()),
        }
    }
    found.sort_by_key(|entry| entry.document.timestamp());
    outcome.found = found.len() as u64;
    outcome.shown = outcome.found;
    (found, outcome)
}

impl Outcome {
    /// Something was shown that is no line.
    #[must_use]
    pub fn something() -> Self {
        Self {
            found: 1,
            shown: 1,
            ..Self::default()
        }
    }
}

/// What is said where nobody is known to use what is asked for.
pub fn unknown_uses(wanted: &Wanted, known: &Known) -> Option<String> {
    let option = wanted.uses.option()?;
    (known.used.is_empty() && !wanted.components.is_empty()).then(|| {
        format!(
            "--{option}: no line of these components says what they use (label {}); name it with -c",
            wanted.uses.wanted().first().map_or("", |used| used.label())
        )
    })
}

fn summarise<W: Write, E: Display>(
    entries: impl Iterator<Item = Result<Entry, E>>,
    mut summary: Summary,
    out: Renderer<W>,
    mut outcome: Outcome,
) -> Result<Outcome, SearchError> {
    for entry in entries {
        match entry {
            Ok(entry) => {
                outcome.found += 1;
                summary.add(&entry.document);
            }
            Err(error) => outcome.errors.push(error.to_string()),
        }
    }
    let found = outcome.found;
    told_in_numbers(&summary, found, out, outcome)
}

/// Writes what was counted of so many lines.
fn told_in_numbers<W: Write>(
    summary: &Summary,
    found: u64,
    mut out: Renderer<W>,
    mut outcome: Outcome,
) -> Result<Outcome, SearchError> {
    if let Some(field) = summary.missing().filter(|_| found > 0) {
        outcome.notes.push(nothing::without(field));
        outcome.status = outcome.errors.is_empty().then_some(NOTHING);
    } else {
        let shape = Shape::of(out.style());
        summary.write(&shape, out.output())?;
    }
    out.flush()?;
    Ok(Outcome {
        found,
        shown: found,
        ..outcome
    })
}

/// How the lines are read among which some are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// By their times, and all of them: they are counted.
    All,
    /// In this order, and no more than is needed.
    Needed(Order),
}

fn show<W: Write, E: Display>(
    search: &Search,
    mut entries: impl Iterator<Item = Result<Entry, E>>,
    reading: Reading,
    filter: &Filter,
    mut out: Renderer<W>,
    mut outcome: Outcome,
) -> Result<Outcome, SearchError> {
    let (order, is_all) = match reading {
        Reading::All => (Order::Forward, true),
        Reading::Needed(order) => (order, false),
    };
    let context = Context::of(&search.show);
    let mut selection = Selection::of(&search.show, order);
    let mut written = Written::new(context);
    while is_all || !selection.is_complete() {
        let entry = match entries.next() {
            Some(Ok(entry)) => entry,
            Some(Err(error)) => {
                outcome.errors.push(error.to_string());
                continue;
            }
            None => break,
        };
        // Around a line are others of the same scope only.
        let found = !context.is_wanted() || filter.matches(&entry.document);
        outcome.found += u64::from(found);
        for line in selection.take(entry, found) {
            written.write(&line, &mut out)?;
        }
    }
    for line in selection.finish() {
        written.write(&line, &mut out)?;
    }
    outcome.shown = written.found;
    out.finish()?;
    Ok(outcome)
}
