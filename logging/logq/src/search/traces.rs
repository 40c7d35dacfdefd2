//! Splits lines by trace.

use std::collections::BTreeSet;

use super::RunReport;
use crate::{
    query::{
        Query, ResolvedContext,
        related::{Related, TAG},
    },
    source::Entry,
};

/// Groups the lines by trace, with their related lines, in order of the first line. Expects lines in time order.
///
/// For a photo, includes only the traces of its processing, not of read requests.
pub fn split_traces(
    entries: Vec<Entry>,
    related: &Related,
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
    // The conditions may leave only related lines.
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
            let related = related.for_trace(id);
            let of_it = |entry: &&Entry| match entry.document.trace_id() {
                Some(own) => own == id,
                None => entry.document.has_tag(TAG) && related.contains(&entry.document),
            };
            entries.iter().filter(of_it).cloned().collect()
        })
        .collect();
    report.found = traces.iter().map(|lines| lines.len() as u64).sum();
    report.shown = report.found;
    traces
}
