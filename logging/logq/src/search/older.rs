//! Finds out whether lines exist before the default time range.

use crate::{
    cli::{ALL, DEFAULT_SINCE, Search, time::parse_duration},
    filter::push_down,
    query::{Query, ResolvedContext, TimeRange},
    source::Source,
};

/// Lines before the default time range.
pub struct OlderLines {
    pub note: String,
    /// Whether they certainly exist.
    pub is_certain: bool,
}

/// Looks for older lines; None without any.
pub fn find(
    search: &Search,
    query: &Query,
    context: &ResolvedContext,
    source: &Source,
    found: u64,
) -> Option<OlderLines> {
    let default_since = search
        .time
        .default_since
        .as_deref()
        .filter(|_| search.time.is_default_since)?;
    let mut earlier = query.clone();
    earlier.time_range = TimeRange {
        since: None,
        until: query.time_range.since,
    };
    let filter = earlier.filter(context);
    let store = match source {
        Source::OpenSearch(store) => Some(store),
        Source::Combined(both) => both.store(),
        Source::Kubectl(_) => None,
    };
    let is_certain = match store.map(|store| store.has_match(&filter)) {
        Some(Ok(false)) => return None,
        Some(Ok(true)) if push_down(&filter).is_exact() => true,
        // OpenSearch tests only a part of the filter, or just became unavailable.
        Some(Ok(true) | Err(_)) => false,
        // The pods would have to send all lines.
        None if found > 0 => return None,
        None => false,
    };
    let are = if is_certain { "are" } else { "may be" };
    let since = if default_since == DEFAULT_SINCE {
        "of the last hour".to_owned()
    } else if parse_duration(default_since).is_some() {
        format!("of the last {default_since}")
    } else {
        format!("since {default_since}")
    };
    Some(OlderLines {
        note: format!(
            "only lines {since} were searched; there {are} older ones: use --since 1d or --since {ALL}"
        ),
        is_certain,
    })
}
