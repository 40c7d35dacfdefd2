//! Where nothing was said of time: whether there are lines from before the
//! usual one.

use crate::{
    cli::{ALL, Search, USUAL_SINCE, time::duration},
    filter::push,
    plan::{Known, Span, Wanted},
    source::Source,
};

/// Lines that were not looked at.
pub struct Older {
    /// What is told of them.
    pub note: String,
    /// Whether there are some for sure.
    pub is_sure: bool,
}

/// Looks for lines that were not looked at; none where there are none.
pub fn look(search: &Search, wanted: &Wanted, known: &Known, source: &Source, found: u64) -> Option<Older> {
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
    let is_sure = match store.map(|store| store.any(&filter)) {
        Some(Ok(false)) => return None,
        Some(Ok(true)) if push(&filter).is_exact() => true,
        // OpenSearch tests a part only; or it has just gone away.
        Some(Ok(true) | Err(_)) => false,
        // Pods would have to give them all.
        None if found > 0 => return None,
        None => false,
    };
    let are = if is_sure { "are" } else { "may be" };
    let since = if usual == USUAL_SINCE {
        "of the last hour".to_owned()
    } else if duration(usual).is_some() {
        format!("of the last {usual}")
    } else {
        format!("since {usual}")
    };
    Some(Older {
        note: format!(
            "only lines {since} were looked at, and there {are} older ones: --since 1d, or --since {ALL}"
        ),
        is_sure,
    })
}
