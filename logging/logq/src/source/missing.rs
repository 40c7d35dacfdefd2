//! Names in a query that no line has, with suggestions.

use schema::{component, field};
use std::collections::BTreeSet;

use super::line_source::LineSource;
use crate::{
    filter::Filter,
    query::{Criterion, Query, TimeRange},
    suggestion::nearest,
};

/// Maximum number of notes: usually one thing is wrong.
pub const MAX_NOTES: usize = 2;

/// Maximum number of names in a note.
const MAX_LISTED_NAMES: usize = 8;

/// Notes for --follow: names that no line has so far.
#[must_use]
pub fn missing_so_far(query: &Query, source: &dyn LineSource) -> Vec<String> {
    let criteria = query.criteria.iter();
    let notes = criteria.filter_map(|criterion| explain_name(criterion, query, source, " so far"));
    notes.take(MAX_NOTES).collect()
}

/// A note if no line has this name.
pub fn explain_name(
    criterion: &Criterion,
    query: &Query,
    source: &dyn LineSource,
    when: &str,
) -> Option<String> {
    let Criterion::Name {
        what,
        field,
        typed,
        filter,
    } = criterion
    else {
        return None;
    };
    // With dependencies, a silent component does not explain an empty result.
    let is_one_of_several = *field == field::COMPONENT && !query.dependencies.requested().is_empty();
    let (time_range, when) = if is_one_of_several {
        (TimeRange::default(), "")
    } else {
        (query.time_range, when)
    };
    if source.has_match(&in_time_range(time_range, filter)) != Some(false) {
        return None;
    }
    let mut names = source.values(&time_range.filter(), field);
    let list = (1..=MAX_LISTED_NAMES).contains(&names.len()).then(|| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        format!("; names in the lines: {}", names.join(", "))
    });
    if *field == field::COMPONENT {
        names.extend(component::ALL.map(str::to_owned));
    }
    names.remove(typed);
    let suggestion = nearest_name(typed, &names).map(|name| format!("; did you mean {name}?"));
    let suggestion = suggestion.or(list).unwrap_or_default();
    Some(match (source.lists_pods(), *what) {
        (true, "pod") => format!("no pod {typed}{when}{suggestion}"),
        (true, what) => format!("no pod of {what} {typed}{suggestion}"),
        (false, what) => format!("no lines of {what} {typed}{when}{suggestion}"),
    })
}

#[must_use]
pub fn in_time_range(time_range: TimeRange, filter: &Filter) -> Filter {
    Filter::All(vec![time_range.filter(), filter.clone()])
}

#[must_use]
pub fn nearest_name(typed: &str, names: &BTreeSet<String>) -> Option<String> {
    let lower = typed.to_lowercase();
    nearest(&lower, names.iter().map(String::as_str)).map(str::to_owned)
}
