//! Searches OpenSearch, pods, or both.

use std::io::Write;

use super::{
    ContextLines, LineLimit, ReadMode, RunReport, SearchError, collect_sorted, no_match, older,
    related::{self, TraceLines},
    show_entries, stale, summarise,
    traces::split_traces,
    unknown_dependencies_note, write_summary,
};
use crate::{
    cli::Search,
    filter::Filter,
    query::{Query, ResolvedContext},
    render::Renderer,
    source::{ChosenSource, Entry, Order, Source},
    summary::Summary,
};

/// Reads all lines of each trace and their related lines, by time.
///
/// # Errors
/// [`SearchError`]. An interrupted source is an error in the report.
pub fn traces(
    search: &Search,
    query: &Query,
    chosen: &ChosenSource,
) -> Result<(Vec<Vec<Entry>>, RunReport), SearchError> {
    let source = &chosen.source;
    let (context, notes) = resolve(query, source)?;
    let read = |filter: &_| Ok(source.lines(filter, Order::Forward));
    let (related, errors) = related::find_related(query, &context, read)?;
    let trace_lines = TraceLines {
        related: &related,
        filter: query.filter(&context),
    };
    let (found, mut report) = collect_sorted(trace_lines.select(Filter::NOTHING, read)?);
    report.notes.extend(notes);
    let traces = split_traces(found, &related, query, &context, &mut report);
    let report = related::add_errors(report, errors);
    let mut report = add_diagnostics(report, query, &context, chosen);
    explain_no_match(search, query, source, &mut report);
    Ok((traces, report))
}

fn explain_no_match(search: &Search, query: &Query, source: &Source, report: &mut RunReport) {
    if report.found == 0 && report.errors.is_empty() {
        report
            .notes
            .extend(no_match::explain(search, query, source.into()));
    }
}

/// Searches the source and prints the result.
///
/// # Errors
/// [`SearchError`]. An interrupted source is an error in the report.
pub fn search<W: Write>(
    search: &Search,
    query: &Query,
    chosen: &ChosenSource,
    out: Renderer<W>,
) -> Result<RunReport, SearchError> {
    let (context, notes) = resolve(query, &chosen.source)?;
    let report = RunReport {
        notes,
        ..RunReport::default()
    };
    let report = run(search, query, &context, &chosen.source, out, report)?;
    let mut report = add_diagnostics(report, query, &context, chosen);
    // Check this last, so that the lines do not wait for it.
    if report.errors.is_empty() {
        let older = older::find(search, query, &context, &chosen.source, report.found);
        if !older.as_ref().is_some_and(|older| older.is_certain) {
            explain_no_match(search, query, &chosen.source, &mut report);
        }
        report.notes.extend(older.map(|older| older.note));
    }
    Ok(report)
}

fn run<W: Write>(
    search: &Search,
    query: &Query,
    context: &ResolvedContext,
    source: &Source,
    out: Renderer<W>,
    report: RunReport,
) -> Result<RunReport, SearchError> {
    let filter = query.filter(context);
    if query.related_option().is_some() {
        let read = |filter: &_| Ok(source.lines(filter, Order::Forward));
        let (related, errors) = related::find_related(query, context, read)?;
        let trace_lines = TraceLines {
            related: &related,
            filter,
        };
        let report = related::show_lines(search, &trace_lines, query.scope(context), read, out, report)?;
        return Ok(related::add_errors(report, errors));
    }
    if let Some(mut summary) = Summary::from_options(search)? {
        if let Some(found) = source.fill_summary(&filter, &mut summary)? {
            return write_summary(&summary, found, out, report);
        }
        return summarise(source.lines(&filter, Order::Forward), summary, out, report);
    }
    let scope_filter = if ContextLines::from_options(&search.show).is_wanted() {
        query.scope(context)
    } else {
        filter.clone()
    };
    let (order, limit) = match LineLimit::from_options(&search.show) {
        LineLimit::First(limit) if source.supports_limits() => (Order::Forward, limit),
        LineLimit::Last(limit) if source.supports_limits() => (Order::Backward, limit),
        LineLimit::All | LineLimit::First(_) | LineLimit::Last(_) => {
            let all = source.lines(&scope_filter, Order::Forward);
            return show_entries(search, all, ReadMode::All, &filter, out, report);
        }
    };
    let lines = source.lines(&scope_filter, order);
    let mut report = show_entries(search, lines, ReadMode::UpTo(order), &filter, out, report)?;
    report.found = report.shown;
    if report.shown == limit as u64 {
        match source.count(&filter)? {
            Some(count) => report.found = count.max(report.shown),
            None => report.notes.push(format!(
                "{} line{} shown; the total was not counted",
                report.shown,
                if report.shown == 1 { "" } else { "s" }
            )),
        }
    }
    Ok(report)
}

/// Resolves the context, with notes.
fn resolve(query: &Query, source: &Source) -> Result<(ResolvedContext, Vec<String>), SearchError> {
    if !query.needs_context() {
        return Ok((ResolvedContext::default(), Vec::new()));
    }
    let context = source.resolve(query)?;
    let notes = unknown_dependencies_note(query, &context).into_iter().collect();
    Ok((context, notes))
}

/// Adds the source's notes and errors.
fn add_diagnostics(
    mut report: RunReport,
    query: &Query,
    context: &ResolvedContext,
    chosen: &ChosenSource,
) -> RunReport {
    let (notes, errors) = chosen.source.take_diagnostics();
    report.notes.extend(notes);
    if let Source::OpenSearch(store) = &chosen.source
        && chosen.is_automatic
        && report.errors.is_empty()
    {
        report.notes.extend(stale::note(store, query, context));
    }
    for error in errors {
        if !report.errors.contains(&error) {
            report.errors.push(error);
        }
    }
    report
}
