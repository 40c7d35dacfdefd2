//! Explains an empty result.

use std::collections::BTreeSet;

use schema::{FIELDS, Kind, component, field, level};

use super::{field_names, probe::SourceProbe};
use crate::{
    cli::{Search, time::Clock},
    config::nearest,
    filter::Filter,
    query::{Criterion, Query, TimeRange},
};

/// Maximum number of notes: usually one thing is wrong.
const MAX_NOTES: usize = 2;

/// Maximum number of names in a note.
const MAX_LISTED_NAMES: usize = 8;

/// Notes for an empty result: criteria that no line fulfils, with suggestions.
#[must_use]
pub fn explain(search: &Search, query: &Query, probe: SourceProbe<'_>) -> Vec<String> {
    let clock = Clock::system(search.show.utc);
    let doubt = query.time_range.suspicion(&search.time, &clock);
    if query.time_range.since.is_some_and(|since| since > clock.now()) {
        return doubt.into_iter().collect();
    }
    let when = if query.time_range == TimeRange::default() {
        ""
    } else {
        " in this time"
    };
    let missing_subjects =
        missing_subjects(search, query, probe).map(|subject| format!("no lines of {subject}{when}"));
    let notes = query.criteria.iter().filter_map(|criterion| {
        let name = explain_name(criterion, query, probe, when);
        name.or_else(|| explain_condition(criterion, query.time_range, probe, when))
    });
    let doubt = doubt.map(|doubt| format!("no lines found; {doubt}"));
    let mut notes: Vec<String> = doubt
        .into_iter()
        .chain(missing_subjects.chain(notes).take(MAX_NOTES))
        .collect();
    if notes.is_empty() && !search.select.grep.is_empty() {
        notes.push(
            "no lines found; --grep searches texts (message, error, statement, stack trace), -f FIELD=VALUE \
             tests a field"
                .to_owned(),
        );
    }
    notes
}

/// Notes for --follow: names that no line has so far.
#[must_use]
pub fn missing_so_far(query: &Query, probe: SourceProbe<'_>) -> Vec<String> {
    let criteria = query.criteria.iter();
    let notes = criteria.filter_map(|criterion| explain_name(criterion, query, probe, " so far"));
    notes.take(MAX_NOTES).collect()
}

/// The photos and traces without any line.
fn missing_subjects<'s>(
    search: &'s Search,
    query: &'s Query,
    probe: SourceProbe<'s>,
) -> impl Iterator<Item = String> + 's {
    let photos = query.photos.iter().map(|photo| format!("photo {photo}"));
    let traces = || format!("trace {}", search.select.traces.join(", "));
    let traces = query.trace.iter().map(move |filter| (traces(), filter.clone()));
    let subjects = photos.zip(query.photo_filters()).chain(traces);
    subjects
        .filter(move |(_, filter)| probe.has_match(&in_time_range(query.time_range, filter)) == Some(false))
        .map(|(subject, _)| subject)
}

/// A note if no line has this name.
fn explain_name(criterion: &Criterion, query: &Query, probe: SourceProbe<'_>, when: &str) -> Option<String> {
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
    if probe.has_match(&in_time_range(time_range, filter)) != Some(false) {
        return None;
    }
    let mut names = probe.values(&time_range.filter(), field);
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
    Some(match (probe.lists_pods(), *what) {
        (true, "pod") => format!("no pod {typed}{when}{suggestion}"),
        (true, what) => format!("no pod of {what} {typed}{suggestion}"),
        (false, what) => format!("no lines of {what} {typed}{when}{suggestion}"),
    })
}

/// A note for a field that no matching line has.
#[must_use]
pub fn field_not_found(field: &str) -> String {
    format!(
        "no line in the result has a field {field}{}",
        field_names::suggestion(field)
    )
}

/// A note if no line has this field or value.
fn explain_condition(
    criterion: &Criterion,
    time_range: TimeRange,
    probe: SourceProbe<'_>,
    when: &str,
) -> Option<String> {
    let Criterion::Condition { field, typed, filter } = criterion else {
        return None;
    };
    // A negated condition alone may exclude all lines.
    if matches!(filter, Filter::Not(_)) {
        return None;
    }
    let exists = Filter::Exists(field.clone());
    if probe.has_match(&in_time_range(time_range, &exists)) == Some(false) {
        return Some(format!(
            "no line has a field {field}{when}{}",
            field_names::suggestion(field)
        ));
    }
    if !field_names::is_field(field) {
        // An unknown field may exist but is not indexed.
        let suggestion = field_names::similar_field(field)?;
        return Some(format!(
            "{field} is not a standard field; did you mean {suggestion}?"
        ));
    }
    let Filter::Equals(_, value) = filter else {
        return None;
    };
    let kind = FIELDS
        .iter()
        .find(|known| known.name == field)
        .map(|known| known.kind);
    let has_value = probe.has_match(&in_time_range(time_range, filter));
    if has_value != Some(true)
        && kind != Some(Kind::Text)
        && let Some(alternatives) = field_names::suggest_alternatives(field, "~=", value.text())
    {
        return Some(format!("{typed} matches one value{alternatives}"));
    }
    if kind != Some(Kind::Keyword) || has_value != Some(false) {
        return None;
    }
    let mut values = if field == field::LEVEL {
        level::ALL.map(str::to_owned).into()
    } else {
        probe.values(&time_range.filter(), field)
    };
    values.remove(value.text());
    let suggestion =
        nearest_name(value.text(), &values).map(|name| format!("; did you mean {field}={name}?"));
    Some(format!(
        "no line has {typed}{when}{}",
        suggestion.unwrap_or_default()
    ))
}

fn in_time_range(time_range: TimeRange, filter: &Filter) -> Filter {
    Filter::All(vec![time_range.filter(), filter.clone()])
}

fn nearest_name(typed: &str, names: &BTreeSet<String>) -> Option<String> {
    let lower = typed.to_lowercase();
    nearest(&lower, names.iter().map(String::as_str)).map(str::to_owned)
}
