//! Searches a source and shows the lines.

use std::{fmt::Display, io::Write};

use super::{
    EXIT_NO_MATCH, LineLimit, RunReport, SearchError, SearchOptions, Selection, SelectionWriter, files,
    no_match,
};
use crate::{
    entry::{Entry, Order},
    filter::Filter,
    query::{MARGIN, Query, ResolvedContext, TraceSpans},
    render::Renderer,
    source::{ChosenSource, LineSource},
    summary::{Summary, SummaryFormat},
};

/// A query whose context is resolved.
pub(super) struct ResolvedQuery {
    pub context: ResolvedContext,
    pub filter: Filter,
    /// Empty without `--with-queue`.
    pub spans: TraceSpans,
    pub report: RunReport,
}

pub(super) fn resolve(
    search: &SearchOptions,
    query: &Query,
    source: &dyn LineSource,
) -> Result<ResolvedQuery, SearchError> {
    let broker_option = query.broker_option();
    if search.reads_pipe() {
        if let Some(option) = broker_option {
            return Err(SearchError::TooOften(option));
        }
        if query.needs_context() {
            return Err(SearchError::Twice(query.dependencies.option().unwrap_or("photo")));
        }
    }
    let mut report = RunReport::default();
    let context = if query.needs_context() {
        let context = source.resolve(query)?;
        report.notes.extend(query.unknown_dependencies(&context));
        context
    } else {
        ResolvedContext::default()
    };
    let mut filter = query.filter(&context);
    let mut spans = TraceSpans::default();
    if let Some(option) = broker_option {
        for entry in source.lines(&query.trace_lines(&context), Order::Forward)? {
            match entry {
                Ok(entry) => spans.add(&entry.document),
                Err(error) => report.add_error(&error),
            }
        }
        filter = Filter::Any(vec![filter, spans.broker_lines(query)]).counting(&query.left_out);
        report.notes.push(format!(
            "--{option} shows all lines of the broker from {} s before a trace to {0} s after it; they may be \
             about other photos",
            MARGIN.as_secs()
        ));
    }
    Ok(ResolvedQuery {
        context,
        filter,
        spans,
        report,
    })
}

/// Searches the source and prints the result.
///
/// # Errors
/// [`SearchError`]. An interrupted source is an error in the report.
pub fn search<W: Write>(
    search: &SearchOptions,
    query: &Query,
    chosen: &ChosenSource,
    out: Renderer<W>,
) -> Result<RunReport, SearchError> {
    let ResolvedQuery {
        context,
        filter,
        report,
        ..
    } = resolve(search, query, &*chosen.source)?;
    let mut scope = query.scope(&context);
    if query.broker_option().is_some() {
        scope = Filter::Any(vec![scope, filter.clone()]);
    }
    let mut report = show(search, &filter, &scope, &*chosen.source, out, report)?;
    if let Err(error) = chosen.source.count_left_out(&filter) {
        report.add_error(&error);
    }
    let mut report = add_diagnostics(report, query, &context, chosen);
    explain_no_match(search, query, &*chosen.source, &mut report);
    if report.errors.is_empty() {
        report.notes.extend(search.time.default_range_note());
    }
    Ok(report)
}

pub(super) fn explain_no_match(
    search: &SearchOptions,
    query: &Query,
    source: &dyn LineSource,
    report: &mut RunReport,
) {
    if report.found == 0 && report.errors.is_empty() && !search.reads_pipe() {
        report.notes.extend(no_match::explain(search, query, source));
    }
}

/// Adds the source's notes and errors.
pub(super) fn add_diagnostics(
    mut report: RunReport,
    query: &Query,
    context: &ResolvedContext,
    chosen: &ChosenSource,
) -> RunReport {
    let (notes, errors) = chosen.source.take_diagnostics();
    report.notes.extend(notes);
    if chosen.can_fall_back && report.errors.is_empty() {
        report.notes.extend(chosen.source.freshness_note(query, context));
    }
    for error in errors {
        report.add_error(&error);
    }
    report
}

fn show<W: Write>(
    search: &SearchOptions,
    filter: &Filter,
    scope: &Filter,
    source: &dyn LineSource,
    out: Renderer<W>,
    report: RunReport,
) -> Result<RunReport, SearchError> {
    if let Some(mut summary) = search.summary()? {
        if files::can_count(search, &summary) {
            return files::write_stats(search, filter, summary, out, report);
        }
        if let Some(found) = source.fill_summary(filter, &mut summary)? {
            return write_summary(&summary, found, out, report);
        }
        return summarise(source.lines(filter, Order::Forward)?, summary, out, report);
    }
    if files::can_render(search) {
        return files::write_lines(search, filter, out, report);
    }
    let scope = if search.show.context_lines().is_wanted() {
        scope
    } else {
        filter
    };
    let (order, limit) = match search.show.line_limit() {
        LineLimit::First(limit) if source.supports_limits() => (Order::Forward, limit),
        LineLimit::Last(limit) if source.supports_limits() => (Order::Backward, limit),
        LineLimit::All | LineLimit::First(_) | LineLimit::Last(_) => {
            let all = source.lines(scope, Order::Forward)?;
            return show_entries(search, all, ReadMode::All, filter, out, report);
        }
    };
    let lines = source.lines(scope, order)?;
    let mut report = show_entries(search, lines, ReadMode::UpTo(order), filter, out, report)?;
    report.found = report.shown;
    if report.shown == limit as u64 {
        match source.count(filter)? {
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
            Err(error) => report.add_error(&error),
        }
    }
    let found = report.found;
    write_summary(&summary, found, out, report)
}

/// Prints the summary.
pub(super) fn write_summary<W: Write>(
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
    search: &SearchOptions,
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
    let context_lines = search.show.context_lines();
    let mut selection = Selection::from_options(&search.show, order);
    let mut writer = SelectionWriter::new(context_lines);
    while is_all || !selection.is_complete() {
        let entry = match entries.next() {
            Some(Ok(entry)) => entry,
            Some(Err(error)) => {
                report.add_error(&error);
                continue;
            }
            None => break,
        };
        // Context lines must be in the same scope.
        let found = !context_lines.is_wanted() || filter.select(&entry.document);
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
