//! Why nothing was found, where that can be known.

use std::collections::BTreeSet;

use schema::{FIELDS, Kind, component, field, level};

use super::{names, there::There};
use crate::{
    cli::{Search, time::Clock},
    config::nearest,
    filter::Filter,
    plan::{Span, Wanted, Wish},
};

/// So much is told at most: what is wrong is mostly one thing.
const MOST_TOLD: usize = 2;

/// So many names are told one by one.
const FEW: usize = 8;

/// What is said where nothing was found: what no line has of what was asked for, and what was probably meant.
#[must_use]
pub fn why(search: &Search, wanted: &Wanted, there: There<'_>) -> Vec<String> {
    let clock = Clock::system(search.show.utc);
    let doubt = wanted.span.doubt(&search.window, &clock);
    if wanted.span.since.is_some_and(|since| since > clock.now()) {
        return doubt.into_iter().collect();
    }
    let when = if wanted.span == Span::default() {
        ""
    } else {
        " in this time"
    };
    let absent = absent(search, wanted, there).map(|subject| format!("no line of {subject}{when}"));
    let told = wanted.wishes.iter().filter_map(|wish| {
        let name = name(wish, wanted, there, when);
        name.or_else(|| condition(wish, wanted.span, there, when))
    });
    let doubt = doubt.map(|doubt| format!("no line found; {doubt}"));
    let mut told: Vec<String> = doubt
        .into_iter()
        .chain(absent.chain(told).take(MOST_TOLD))
        .collect();
    if told.is_empty() && !search.select.grep.is_empty() {
        told.push(
            "no line found: --grep looks into texts (message, error, statement, stack trace); -f FIELD=VALUE asks for a field"
                .to_owned(),
        );
    }
    told
}

/// What is said beside lines that are followed: which names no line has had so far.
#[must_use]
pub fn so_far(wanted: &Wanted, there: There<'_>) -> Vec<String> {
    let wishes = wanted.wishes.iter();
    let told = wishes.filter_map(|wish| name(wish, wanted, there, " so far"));
    told.take(MOST_TOLD).collect()
}

/// The photos and traces that were asked for and of which there is no line.
fn absent<'s>(search: &'s Search, wanted: &'s Wanted, there: There<'s>) -> impl Iterator<Item = String> + 's {
    let photos = wanted.photos.iter().map(|photo| format!("photo {photo}"));
    let traces = || format!("trace {}", search.select.traces.join(", "));
    let traces = wanted.trace.iter().map(move |filter| (traces(), filter.clone()));
    let subjects = photos.zip(wanted.about()).chain(traces);
    subjects
        .filter(move |(_, filter)| there.has(&within(wanted.span, filter)) == Some(false))
        .map(|(subject, _)| subject)
}

/// That no line is of the component, pod or the like.
fn name(wish: &Wish, wanted: &Wanted, there: There<'_>, when: &str) -> Option<String> {
    let Wish::Name {
        what,
        field,
        typed,
        filter,
    } = wish
    else {
        return None;
    };
    // Beside what a component uses, its own silence is not why nothing was found.
    let is_one_of_several = *field == field::COMPONENT && !wanted.uses.wanted().is_empty();
    let (span, when) = if is_one_of_several {
        (Span::default(), "")
    } else {
        (wanted.span, when)
    };
    if there.has(&within(span, filter)) != Some(false) {
        return None;
    }
    let mut names = there.values(&span.filter(), field);
    let list = (1..=FEW).contains(&names.len()).then(|| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        format!("; there are some of {}", names.join(", "))
    });
    if *field == field::COMPONENT {
        names.extend(component::ALL.map(str::to_owned));
    }
    names.remove(typed);
    let meant = near(typed, &names).map(|name| format!("; did you mean {name}?"));
    let meant = meant.or(list).unwrap_or_default();
    Some(match (there.is_of_pods(), *what) {
        (true, "pod") => format!("there is no pod {typed}{when}{meant}"),
        (true, what) => format!("there is no pod of a {what} {typed}{meant}"),
        (false, what) => format!("no line of a {what} {typed}{when}{meant}"),
    })
}

/// What is said where no line that was found has a field.
#[must_use]
pub fn without(field: &str) -> String {
    format!(
        "no line that was found has a field {field}{}",
        names::meant(field)
    )
}

/// That no line has the field, or this value in it.
fn condition(wish: &Wish, span: Span, there: There<'_>, when: &str) -> Option<String> {
    let Wish::Condition { field, typed, filter } = wish else {
        return None;
    };
    // It can leave out lines by this value alone.
    if matches!(filter, Filter::Not(_)) {
        return None;
    }
    let exists = Filter::Exists(field.clone());
    if there.has(&within(span, &exists)) == Some(false) {
        return Some(format!(
            "no line has a field {field}{when}{}",
            names::meant(field)
        ));
    }
    if !names::is_known(field) {
        // Other lines can have it, and their field is not indexed.
        let meant = names::other_field(field)?;
        return Some(format!(
            "{field} is no field that every line can have; did you mean {meant}?"
        ));
    }
    let Filter::Is(_, value) = filter else { return None };
    let kind = FIELDS
        .iter()
        .find(|known| known.name == field)
        .map(|known| known.kind);
    let has = there.has(&within(span, filter));
    if has != Some(true)
        && kind != Some(Kind::Text)
        && let Some(several) = names::several(field, "~=", value.text())
    {
        return Some(format!("{typed} asks for one value{several}"));
    }
    if kind != Some(Kind::Keyword) || has != Some(false) {
        return None;
    }
    let mut values = if field == field::LEVEL {
        level::ALL.map(str::to_owned).into()
    } else {
        there.values(&span.filter(), field)
    };
    values.remove(value.text());
    let meant = near(value.text(), &values).map(|name| format!("; did you mean {field}={name}?"));
    Some(format!("no line has {typed}{when}{}", meant.unwrap_or_default()))
}

fn within(span: Span, filter: &Filter) -> Filter {
    Filter::All(vec![span.filter(), filter.clone()])
}

fn near(typed: &str, names: &BTreeSet<String>) -> Option<String> {
    let lower = typed.to_lowercase();
    nearest(&lower, names.iter().map(String::as_str)).map(str::to_owned)
}
