//! From what is wanted to what is shown.

mod context;
mod window;

use std::{fmt::Display, io::Write};

use crate::{
    cli::{Output, Search, UnknownView},
    filter::{Filter, push},
    import::ImportError,
    opensearch::Client,
    plan::{Known, Unclear, Wanted},
    render::{Column, NoFields, Renderer},
    source::{
        Entry,
        files::{self, FileError, Strip},
        opensearch::{self as store, Order, Pages},
    },
    summary::{NoSummary, Summary},
};

use self::{context::Context, window::Kept};

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
    View(#[from] UnknownView),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Standard input cannot be read a second time.
    #[error(
        "--{0} needs to read twice, first to learn which lines belong together: save the input in a file, \
         or name the components with -c and the traces with --trace"
    )]
    Twice(&'static str),
    /// OpenSearch.
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
    /// The output.
    #[error("output: {0}")]
    Output(#[from] std::io::Error),
}

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
}

/// All lines of one trace, in the order of their times.
///
/// # Errors
/// [`SearchError`]; a file that breaks off is told in the outcome.
pub fn trace(search: &Search, wanted: &Wanted) -> Result<(Vec<Entry>, Outcome), SearchError> {
    let filter = wanted.filter(&Known::default());
    Ok(collected(files::open(&search.files, &filter)?))
}

/// The same out of OpenSearch.
///
/// # Errors
/// [`SearchError`].
pub fn trace_in_opensearch(wanted: &Wanted, client: &Client) -> Result<(Vec<Entry>, Outcome), SearchError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let filter = wanted.filter(&Known::default());
    Ok(collected(Pages::new(client, &runtime, filter, Order::Forward)))
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

/// Says what would be asked: in words, and of OpenSearch as its query.
///
/// # Errors
/// [`SearchError`]: what belongs together is found out before.
pub fn explain(
    search: &Search,
    wanted: &Wanted,
    client: Option<&Client>,
    out: &mut impl Write,
) -> Result<Outcome, SearchError> {
    let mut known = Known::default();
    if let Some(client) = client.filter(|_| wanted.depends()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        known = runtime.block_on(store::known(client, wanted))?;
    }
    let filter = wanted.filter(&known);
    writeln!(
        out,
        "lines that match: {}",
        terminal::escaped(&filter.to_string())
    )?;
    if let Some(client) = client {
        let query = serde_json::to_string_pretty(&store::page(&filter, Order::Forward)).unwrap_or_default();
        writeln!(
            out,
            "asked of {}: POST /_search, a point in time of {}",
            client.url(),
            store::streams()
        )?;
        writeln!(out, "{query}")?;
        if !push(&filter).exact {
            writeln!(out, "The rest is tested here, line by line.")?;
        }
    } else {
        let files: Vec<String> = search
            .files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        writeln!(out, "looked for in: {}", terminal::escaped(&files.join(", ")))?;
        if wanted.depends() {
            writeln!(
                out,
                "What is used, and the traces of a photo, are read from the files first."
            )?;
        }
    }
    out.flush()?;
    Ok(Outcome::something())
}

/// Asks OpenSearch.
///
/// # Errors
/// [`SearchError`].
pub fn opensearch<W: Write>(
    search: &Search,
    wanted: &Wanted,
    client: &Client,
    out: Renderer<W>,
) -> Result<Outcome, SearchError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut outcome = Outcome::default();
    let mut known = Known::default();
    if wanted.depends() {
        known = runtime.block_on(store::known(client, wanted))?;
        outcome.notes.extend(unknown_uses(wanted, &known));
    }
    let filter = wanted.filter(&known);
    let pages = |filter: &Filter| Pages::new(client, &runtime, filter.clone(), Order::Forward);
    if let Some(summary) = Summary::of(&search.show)? {
        return summarise(pages(&filter), summary, out, outcome);
    }
    let context = Context::of(&search.show);
    if let (Some(tail), false) = (search.show.tail, context.is_wanted()) {
        let newest = Pages::new(client, &runtime, filter.clone(), Order::Backward);
        let mut last = newest.take(tail).collect::<Result<Vec<_>, _>>()?;
        last.reverse();
        let shown = last.len() as u64;
        let entries = last.into_iter().map(Ok::<_, FileError>);
        let mut outcome = show(search, entries, &filter, context, out, outcome)?;
        if shown == tail as u64 {
            match runtime.block_on(store::count(client, &filter))? {
                Some(count) => outcome.found = count.max(shown),
                None => outcome.notes.push(format!(
                    "the last {shown} lines shown; how many there are was not counted"
                )),
            }
        }
        return Ok(outcome);
    }
    let least = if context.is_wanted() {
        wanted.scope(&known)
    } else {
        filter.clone()
    };
    show(search, pages(&least), &filter, context, out, outcome)
}

/// Looks through files.
///
/// # Errors
/// [`SearchError`]; a file that breaks off is told in the outcome.
pub fn files<W: Write>(search: &Search, wanted: &Wanted, out: Renderer<W>) -> Result<Outcome, SearchError> {
    let mut outcome = Outcome::default();
    let mut known = Known::default();
    if wanted.depends() {
        if search.files.iter().any(|file| file.as_os_str() == "-") {
            return Err(SearchError::Twice(wanted.uses.option().unwrap_or("photo")));
        }
        for entry in files::open(&search.files, &wanted.clues())?.flatten() {
            known.learn(wanted, &entry.document);
        }
        outcome.notes.extend(unknown_uses(wanted, &known));
    }
    let filter = wanted.filter(&known);
    if let Some(summary) = Summary::of(&search.show)? {
        if matches!(summary, Summary::Stats(_)) {
            return counted(files::counted(&search.files, &filter)?, summary, out, outcome);
        }
        return summarise(files::open(&search.files, &filter)?, summary, out, outcome);
    }
    let context = Context::of(&search.show);
    if is_straight(search, &context) {
        let strips = files::written(&search.files, &filter, out.style())?;
        return written(strips, out, outcome);
    }
    let least = if context.is_wanted() {
        wanted.scope(&known)
    } else {
        filter.clone()
    };
    let entries = files::open(&search.files, &least)?;
    show(search, entries, &filter, context, out, outcome)
}

/// Whether each line is shown where it stands, and as if it were alone.
const fn is_straight(search: &Search, context: &Context) -> bool {
    let show = &search.show;
    let all = show.limit.is_none() && show.tail.is_none() && !show.reverse;
    all && !context.is_wanted() && !matches!(show.output, Output::Json)
}

fn counted<W: Write>(
    parts: impl Iterator<Item = Result<(Summary, u64), FileError>>,
    mut summary: Summary,
    mut out: Renderer<W>,
    mut outcome: Outcome,
) -> Result<Outcome, SearchError> {
    for part in parts {
        match part {
            Ok((part, found)) => {
                outcome.found += found;
                summary.join(part);
            }
            Err(error) => outcome.errors.push(error.to_string()),
        }
    }
    outcome.shown = outcome.found;
    summary.write(out.output())?;
    out.flush()?;
    Ok(outcome)
}

fn written<W: Write>(
    strips: impl Iterator<Item = Result<Strip, FileError>>,
    mut out: Renderer<W>,
    mut outcome: Outcome,
) -> Result<Outcome, SearchError> {
    let mut column = Column::default();
    for strip in strips {
        match strip {
            Ok(strip) => {
                outcome.found += 1;
                strip.write(&mut column, out.output())?;
                // What comes of a pipe is shown as it comes.
                if strip.is_last() {
                    out.flush()?;
                }
            }
            Err(error) => outcome.errors.push(error.to_string()),
        }
    }
    outcome.shown = outcome.found;
    out.finish()?;
    Ok(outcome)
}

fn unknown_uses(wanted: &Wanted, known: &Known) -> Option<String> {
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
    mut out: Renderer<W>,
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
    outcome.shown = outcome.found;
    summary.write(out.output())?;
    out.flush()?;
    Ok(outcome)
}

fn show<W: Write, E: Display>(
    search: &Search,
    entries: impl Iterator<Item = Result<Entry, E>>,
    filter: &Filter,
    mut context: Context,
    mut out: Renderer<W>,
    mut outcome: Outcome,
) -> Result<Outcome, SearchError> {
    let mut kept = Kept::of(&search.show);
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                outcome.errors.push(error.to_string());
                continue;
            }
        };
        let found = !context.is_wanted() || filter.matches(&entry.document);
        outcome.found += u64::from(found);
        for line in context.take(entry, found) {
            kept.take(line, &mut out)?;
        }
    }
    outcome.shown = kept.finish(&mut out)?;
    out.finish()?;
    Ok(outcome)
}
