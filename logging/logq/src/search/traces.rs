//! Searches the lines of traces.

use std::collections::BTreeSet;

use super::{
    RunReport, SearchError, SearchOptions,
    lines::{ResolvedQuery, add_diagnostics, explain_no_match, resolve},
};
use crate::{
    entry::{Entry, Order},
    query::{Query, ResolvedContext, TraceSpans},
    source::ChosenSource,
};

/// Reads all lines of each trace by time, with the broker's lines if requested.
///
/// # Errors
/// [`SearchError`]. An interrupted source is an error in the report.
pub fn traces(
    search: &SearchOptions,
    query: &Query,
    chosen: &ChosenSource,
) -> Result<(Vec<Vec<Entry>>, RunReport), SearchError> {
    let ResolvedQuery {
        context,
        filter,
        spans,
        mut report,
    } = resolve(search, query, &*chosen.source)?;
    let mut found = Vec::new();
    for entry in chosen.source.lines(&filter, Order::Forward)? {
        match entry {
            Ok(entry) => found.push(entry),
            Err(error) => report.add_error(&error),
        }
    }
    found.sort_by_key(|entry| entry.document.timestamp());
    report.found = found.len() as u64;
    report.shown = report.found;
    let traces = split_traces(found, &spans, query, &context, &mut report);
    let mut report = add_diagnostics(report, query, &context, chosen);
    explain_no_match(search, query, &*chosen.source, &mut report);
    Ok((traces, report))
}

/// Groups the lines by trace, in order of the first line. A line of the broker may be in several groups.
///
/// For a photo, includes only the traces of its processing, not of read requests.
fn split_traces(
    entries: Vec<Entry>,
    spans: &TraceSpans,
    query: &Query,
    context: &ResolvedContext,
    report: &mut RunReport,
) -> Vec<Vec<Entry>> {
    let mut seen = BTreeSet::new();
    let ids = entries.iter().filter_map(|entry| entry.document.trace_id());
    let ids: Vec<String> = ids
        .filter(|id| query.photos.is_empty() || context.traces.contains(*id))
        .filter(|id| seen.insert((*id).to_owned()))
        .map(str::to_owned)
        .collect();
    // The conditions may leave only lines of the broker.
    if query.photos.is_empty() && ids.len() < 2 {
        return if entries.is_empty() {
            Vec::new()
        } else {
            vec![entries]
        };
    }
    if ids.is_empty() && !entries.is_empty() {
        let note = "no line in the result belongs to a trace of the photo; `logq --photo ID` shows them";
        report.notes.push(note.to_owned());
    }
    let traces: Vec<Vec<Entry>> = ids
        .iter()
        .map(|id| {
            let belongs = |entry: &&Entry| match entry.document.trace_id() {
                Some(trace) => trace == id,
                None => spans.contains(id, &entry.document),
            };
            entries.iter().filter(belongs).cloned().collect()
        })
        .collect();
    report.found = traces.iter().map(|lines| lines.len() as u64).sum();
    report.shown = report.found;
    traces
}
