//! Searches files.

use std::{collections::VecDeque, io::Write};

use super::{
    ContextLines, ReadMode, RunReport, SearchError, collect_sorted, no_match,
    probe::SourceProbe,
    related::{self, TraceLines},
    show_entries, summarise,
    traces::split_traces,
    unknown_dependencies_note, write_summary,
};
use crate::{
    cli::{Output, Search, ShowOptions},
    filter::Filter,
    query::{Query, ResolvedContext, related::Related},
    render::{ComponentColumn, Renderer},
    source::{
        Entry,
        files::{self, FileError, RenderedLine},
    },
    summary::Summary,
};

/// Reads all lines of each trace and their related lines, by time.
///
/// # Errors
/// [`SearchError`]. An unreadable file is an error in the report.
pub fn traces(search: &Search, query: &Query) -> Result<(Vec<Vec<Entry>>, RunReport), SearchError> {
    let (context, notes) = resolve(search, query)?;
    let filter = query.filter(&context);
    if is_piped(search) {
        let (found, mut report) = collect_sorted(files::open(&search.files, &filter)?);
        report.notes.extend(notes);
        let note = "related lines of the broker are missing: that needs several passes, and standard input \
            is read once";
        report.notes.push(note.to_owned());
        let traces = split_traces(found, &Related::new(query), query, &context, &mut report);
        return Ok((traces, report));
    }
    let read = |filter: &_| Ok(files::open(&search.files, filter)?);
    let (related, errors) = related::find_related(query, &context, read)?;
    let trace_lines = TraceLines {
        related: &related,
        filter,
    };
    let (found, mut report) = collect_sorted(trace_lines.select(Filter::NOTHING, read)?);
    report.notes.extend(notes);
    let traces = split_traces(found, &related, query, &context, &mut report);
    let mut report = related::add_errors(report, errors);
    explain_no_match(search, query, &mut report);
    Ok((traces, report))
}

/// Resolves the context, with notes.
fn resolve(search: &Search, query: &Query) -> Result<(ResolvedContext, Vec<String>), SearchError> {
    if let (Some(option), true) = (query.related_option(), is_piped(search)) {
        return Err(SearchError::TooOften(option));
    }
    if !query.needs_context() {
        return Ok((ResolvedContext::default(), Vec::new()));
    }
    if is_piped(search) {
        return Err(SearchError::Twice(query.dependencies.option().unwrap_or("photo")));
    }
    let context = files::resolve(&search.files, query)?;
    let notes = unknown_dependencies_note(query, &context).into_iter().collect();
    Ok((context, notes))
}

fn is_piped(search: &Search) -> bool {
    search.files.iter().any(|file| file.as_os_str() == "-")
}

fn explain_no_match(search: &Search, query: &Query, report: &mut RunReport) {
    if report.found == 0 && report.errors.is_empty() && !is_piped(search) {
        let files = SourceProbe::Files(&search.files);
        report.notes.extend(no_match::explain(search, query, files));
    }
}

/// Searches files and prints the result.
///
/// # Errors
/// [`SearchError`]. An unreadable file is an error in the report.
pub fn search<W: Write>(search: &Search, query: &Query, out: Renderer<W>) -> Result<RunReport, SearchError> {
    let mut report = run(search, query, out)?;
    explain_no_match(search, query, &mut report);
    Ok(report)
}

fn run<W: Write>(search: &Search, query: &Query, out: Renderer<W>) -> Result<RunReport, SearchError> {
    let (context, notes) = resolve(search, query)?;
    let report = RunReport {
        notes,
        ..RunReport::default()
    };
    let filter = query.filter(&context);
    if query.related_option().is_some() {
        let read = |filter: &_| Ok(files::open(&search.files, filter)?);
        let (related, errors) = related::find_related(query, &context, read)?;
        let trace_lines = TraceLines {
            related: &related,
            filter,
        };
        let report = related::show_lines(search, &trace_lines, query.scope(&context), read, out, report)?;
        return Ok(related::add_errors(report, errors));
    }
    if let Some(summary) = Summary::from_options(search)? {
        if matches!(summary, Summary::Stats(_)) {
            return write_stats(files::count_lines(&search.files, &filter)?, summary, out, report);
        }
        return summarise(files::open(&search.files, &filter)?, summary, out, report);
    }
    let context_lines = ContextLines::from_options(&search.show);
    if can_stream(search, context_lines) {
        let lines = files::render_lines(&search.files, &filter, out.style())?;
        return write_rendered(lines, &search.show, out, report);
    }
    let scope_filter = if context_lines.is_wanted() {
        query.scope(&context)
    } else {
        filter.clone()
    };
    let entries = files::open(&search.files, &scope_filter)?;
    show_entries(search, entries, ReadMode::All, &filter, out, report)
}

/// Whether lines can be rendered independently and in order.
const fn can_stream(search: &Search, context_lines: ContextLines) -> bool {
    let show = &search.show;
    !show.reverse && !context_lines.is_wanted() && !matches!(show.output, Output::Json)
}

fn write_stats<W: Write>(
    parts: impl Iterator<Item = Result<(Summary, u64), FileError>>,
    mut summary: Summary,
    out: Renderer<W>,
    mut report: RunReport,
) -> Result<RunReport, SearchError> {
    for part in parts {
        match part {
            Ok((part, found)) => {
                report.found += found;
                summary.merge(part);
            }
            Err(error) => report.errors.push(error.to_string()),
        }
    }
    let found = report.found;
    write_summary(&summary, found, out, report)
}

fn write_rendered<W: Write>(
    lines: impl Iterator<Item = Result<RenderedLine, FileError>>,
    show: &ShowOptions,
    mut out: Renderer<W>,
    mut report: RunReport,
) -> Result<RunReport, SearchError> {
    let first = show.limit.map_or(u64::MAX, |limit| limit as u64);
    let mut last = VecDeque::new();
    let mut column = ComponentColumn::default();
    for line in lines {
        match line {
            Ok(line) => {
                report.found += 1;
                if let Some(tail) = show.tail {
                    last.push_back(line);
                    if last.len() > tail {
                        last.pop_front();
                    }
                } else if report.shown < first {
                    report.shown += 1;
                    line.write(&mut column, out.output())?;
                    // Show lines of a pipe as they arrive.
                    if line.is_last() || report.shown == first {
                        out.flush()?;
                    }
                }
            }
            Err(error) => report.errors.push(error.to_string()),
        }
    }
    for line in last {
        report.shown += 1;
        line.write(&mut column, out.output())?;
    }
    out.finish()?;
    Ok(report)
}
