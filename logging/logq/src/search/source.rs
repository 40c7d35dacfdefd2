//! Lines of a source that is asked: OpenSearch, pods, or both.

use std::io::Write;

use super::{
    Context, Outcome, Part, Reading, SearchError, collected, nothing, older,
    related::{self, Joined},
    show, stale, summarise, told_in_numbers,
    traces::apart,
    unknown_uses,
};
use crate::{
    cli::Search,
    filter::Filter,
    plan::{Known, Wanted},
    render::Renderer,
    source::{Chosen, Entry, Order, Source},
    summary::Summary,
};

/// All lines of each trace and those that are related to it, in the order of
/// their times.
///
/// # Errors
/// [`SearchError`]; what breaks off is told in the outcome.
pub fn traces(
    search: &Search,
    wanted: &Wanted,
    chosen: &Chosen,
) -> Result<(Vec<Vec<Entry>>, Outcome), SearchError> {
    let source = &chosen.source;
    let (known, notes) = known(wanted, source)?;
    let read = |filter: &_| Ok(source.lines(filter, Order::Forward));
    let (related, errors) = related::learn(wanted, &known, read)?;
    let joined = Joined {
        related: &related,
        filter: wanted.filter(&known),
    };
    let (found, mut outcome) = collected(joined.pick(Filter::NOTHING, read)?);
    outcome.notes.extend(notes);
    let traces = apart(found, &related, wanted, &known, &mut outcome);
    let outcome = related::told(outcome, errors);
    let mut outcome = told(outcome, wanted, &known, chosen);
    explain_nothing(search, wanted, source, &mut outcome);
    Ok((traces, outcome))
}

fn explain_nothing(search: &Search, wanted: &Wanted, source: &Source, outcome: &mut Outcome) {
    if outcome.found == 0 && outcome.errors.is_empty() {
        outcome.notes.extend(nothing::why(search, wanted, source.into()));
    }
}

/// Asks the source.
///
/// # Errors
/// [`SearchError`]; what breaks off is told in the outcome.
pub fn lines<W: Write>(
    search: &Search,
    wanted: &Wanted,
    chosen: &Chosen,
    out: Renderer<W>,
) -> Result<Outcome, SearchError> {
    let (known, notes) = known(wanted, &chosen.source)?;
    let outcome = Outcome {
        notes,
        ..Outcome::default()
    };
    let outcome = shown(search, wanted, &known, &chosen.source, out, outcome)?;
    let mut outcome = told(outcome, wanted, &known, chosen);
    // Asked last: the lines do not wait for it.
    if outcome.errors.is_empty() {
        let older = older::look(search, wanted, &known, &chosen.source, outcome.found);
        if !older.as_ref().is_some_and(|older| older.is_sure) {
            explain_nothing(search, wanted, &chosen.source, &mut outcome);
        }
        outcome.notes.extend(older.map(|older| older.note));
    }
    Ok(outcome)
}

fn shown<W: Write>(
    search: &Search,
    wanted: &Wanted,
    known: &Known,
    source: &Source,
    out: Renderer<W>,
    outcome: Outcome,
) -> Result<Outcome, SearchError> {
    let filter = wanted.filter(known);
    if wanted.related().is_some() {
        let read = |filter: &_| Ok(source.lines(filter, Order::Forward));
        let (related, errors) = related::learn(wanted, known, read)?;
        let joined = Joined {
            related: &related,
            filter,
        };
        let outcome = related::lines(search, &joined, wanted.scope(known), read, out, outcome)?;
        return Ok(related::told(outcome, errors));
    }
    if let Some(mut summary) = Summary::of(search)? {
        if let Some(found) = source.counts(&filter, &mut summary)? {
            return told_in_numbers(&summary, found, out, outcome);
        }
        return summarise(source.lines(&filter, Order::Forward), summary, out, outcome);
    }
    let least = if Context::of(&search.show).is_wanted() {
        wanted.scope(known)
    } else {
        filter.clone()
    };
    let (order, most) = match Part::of(&search.show) {
        Part::First(most) if source.gives_parts() => (Order::Forward, most),
        Part::Last(most) if source.gives_parts() => (Order::Backward, most),
        Part::All | Part::First(_) | Part::Last(_) => {
            let all = source.lines(&least, Order::Forward);
            return show(search, all, Reading::All, &filter, out, outcome);
        }
    };
    let lines = source.lines(&least, order);
    let mut outcome = show(search, lines, Reading::Needed(order), &filter, out, outcome)?;
    outcome.found = outcome.shown;
    if outcome.shown == most as u64 {
        match source.count(&filter)? {
            Some(count) => outcome.found = count.max(outcome.shown),
            None => outcome.notes.push(format!(
                "{} line{} shown; how many there are was not counted",
                outcome.shown,
                if outcome.shown == 1 { "" } else { "s" }
            )),
        }
    }
    Ok(outcome)
}

/// What has to be found out before, and what a person should know of it.
fn known(wanted: &Wanted, source: &Source) -> Result<(Known, Vec<String>), SearchError> {
    if !wanted.depends() {
        return Ok((Known::default(), Vec::new()));
    }
    let known = source.known(wanted)?;
    let notes = unknown_uses(wanted, &known).into_iter().collect();
    Ok((known, notes))
}

/// Adds what there is to say when all is read.
fn told(mut outcome: Outcome, wanted: &Wanted, known: &Known, chosen: &Chosen) -> Outcome {
    let (notes, errors) = chosen.source.told();
    outcome.notes.extend(notes);
    if let Source::OpenSearch(store) = &chosen.source
        && chosen.is_automatic
        && outcome.errors.is_empty()
    {
        outcome.notes.extend(stale::note(store, wanted, known));
    }
    for error in errors {
        if !outcome.errors.contains(&error) {
            outcome.errors.push(error);
        }
    }
    outcome
}
