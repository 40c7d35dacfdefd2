//! Where nothing was said of time: whether there are lines from before the
//! usual one.

use crate::{
    cli::{ALL, Search, USUAL_SINCE, time::duration},
    filter::push,
    plan::{Known, Span, Wanted},
    source::Source,
};

/// What is told of lines that were not looked at; none where there are none.
pub fn note(search: &Search, wanted: &Wanted, known: &Known, source: &Source, found: u64) -> Option<String> {
    let usual = search
        .window
        .usual
        .as_deref()
        .filter(|_| search.window.is_usual)?;
    let mut earlier = wanted.clone();
    earlier.span = Span {
        since: None,
        until: wanted.span.since,
    };
    let filter = earlier.filter(known);
    let store = match source {
        Source::OpenSearch(store) => Some(store),
        Source::Both(both) => both.store(),
        Source::Kubectl(_) => None,
    };
    let there = match store.map(|store| store.any(&filter)) {
        Some(Ok(false)) => return None,
        Some(Ok(true)) if push(&filter).is_exact() => "there are older ones",
        // OpenSearch tests a part only; or it has just gone away.
        Some(Ok(true) | Err(_)) => "there may be older ones",
        // Pods would have to give them all.
        None if found > 0 => return None,
        None => "there may be older ones",
    };
    let since = if usual == USUAL_SINCE {
        "of the last hour".to_owned()
    } else if duration(usual).is_some() {
        format!("of the last {usual}")
    } else {
        format!("since {usual}")
    };
    Some(format!(
        "only lines {since} were looked at, and {there}: --since 1d, or --since {ALL}"
    ))
}
