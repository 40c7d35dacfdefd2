//! Lines of OpenSearch.

use std::io::Write;

use super::{Context, Outcome, Part, SearchError, collected, show, summarise, unknown_uses};
use crate::{
    cli::Search,
    plan::{Known, Wanted},
    render::Renderer,
    source::{
        Entry,
        opensearch::{Order, Store},
    },
    summary::Summary,
};

/// All lines of one trace, in the order of their times.
///
/// # Errors
/// [`SearchError`]; a page that does not come is told in the outcome.
pub fn trace(wanted: &Wanted, store: &Store) -> Result<(Vec<Entry>, Outcome), SearchError> {
    let filter = wanted.filter(&Known::default());
    Ok(collected(store.lines(&filter, Order::Forward)))
}

/// Asks OpenSearch.
///
/// # Errors
/// [`SearchError`]; a page that does not come is told in the outcome.
pub fn lines<W: Write>(
    search: &Search,
    wanted: &Wanted,
    store: &Store,
    out: Renderer<W>,
) -> Result<Outcome, SearchError> {
    let mut outcome = Outcome::default();
    let mut known = Known::default();
    if wanted.depends() {
        known = store.known(wanted)?;
        outcome.notes.extend(unknown_uses(wanted, &known));
    }
    let filter = wanted.filter(&known);
    if let Some(summary) = Summary::of(&search.show)? {
        return summarise(store.lines(&filter, Order::Forward), summary, out, outcome);
    }
    let context = Context::of(&search.show);
    if context.is_wanted() {
        let around = store.lines(&wanted.scope(&known), Order::Forward);
        return show(search, around, &filter, context, out, outcome);
    }
    let (order, most) = match Part::of(&search.show) {
        Part::All => {
            let all = store.lines(&filter, Order::Forward);
            return show(search, all, &filter, context, out, outcome);
        }
        Part::First(most) => (Order::Forward, most),
        Part::Last(most) => (Order::Backward, most),
    };
    // No more pages are asked for than are needed.
    let mut part: Vec<_> = store.lines(&filter, order).take(most).collect();
    if order == Order::Backward {
        part.reverse();
    }
    let mut outcome = show(search, part.into_iter(), &filter, context, out, outcome)?;
    if outcome.found == most as u64 {
        match store.count(&filter)? {
            Some(count) => outcome.found = count.max(outcome.shown),
            None => outcome.notes.push(format!(
                "{} lines shown; how many there are was not counted",
                outcome.shown
            )),
        }
    }
    Ok(outcome)
}
