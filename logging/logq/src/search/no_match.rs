//! Explains an empty result.

use schema::{FIELDS, FieldKind, field, level};

use super::{SearchOptions, field_names};
use crate::{
    filter::Filter,
    query::{Criterion, Query, TimeRange},
    source::{LineSource, MAX_NOTES, explain_name, in_time_range, nearest_name},
    time::Clock,
};

/// Notes for an empty result: criteria that no line fulfils, with suggestions.
#[must_use]
pub fn explain(search: &SearchOptions, query: &Query, source: &dyn LineSource) -> Vec<String> {
    let clock = Clock::system(search.show.utc);
    let doubt = query.time_range.suspicion(&search.time.criteria(), &clock);
    if query.time_range.since.is_some_and(|since| since > clock.now()) {
        return doubt.into_iter().collect();
    }
    let when = if query.time_range == TimeRange::default() {
        ""
    } else {
        " in this time"
    };
    let missing_subjects =
        missing_subjects(search, query, source).map(|subject| format!("no lines of {subject}{when}"));
    let notes = query.criteria.iter().filter_map(|criterion| {
        let name = explain_name(criterion, query, source, when);
        name.or_else(|| explain_condition(criterion, query.time_range, source, when))
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

/// The photos and traces without any line.
fn missing_subjects<'s>(
    search: &'s SearchOptions,
    query: &'s Query,
    source: &'s dyn LineSource,
) -> impl Iterator<Item = String> + 's {
    let photos = query.photos.iter().map(|photo| format!("photo {photo}"));
    let traces = || format!("trace {}", search.select.traces.join(", "));
    let traces = query.trace.iter().map(move |filter| (traces(), filter.clone()));
    let subjects = photos.zip(query.photo_filters()).chain(traces);
    subjects
        .filter(move |(_, filter)| source.has_match(&in_time_range(query.time_range, filter)) == Some(false))
        .map(|(subject, _)| subject)
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
    source: &dyn LineSource,
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
    if source.has_match(&in_time_range(time_range, &exists)) == Some(false) {
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
    let has_value = source.has_match(&in_time_range(time_range, filter));
    if has_value != Some(true)
        && kind != Some(FieldKind::Text)
        && let Some(alternatives) = field_names::suggest_alternatives(field, "~=", value.text())
    {
        return Some(format!("{typed} matches one value{alternatives}"));
    }
    if kind != Some(FieldKind::Keyword) || has_value != Some(false) {
        return None;
    }
    let mut values = if field == field::LEVEL {
        level::ALL.map(str::to_owned).into()
    } else {
        source.values(&time_range.filter(), field)
    };
    values.remove(value.text());
    let suggestion =
        nearest_name(value.text(), &values).map(|name| format!("; did you mean {field}={name}?"));
    Some(format!(
        "no line has {typed}{when}{}",
        suggestion.unwrap_or_default()
    ))
}
