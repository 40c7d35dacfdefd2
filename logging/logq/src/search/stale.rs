//! Whether OpenSearch still gets the lines of what is asked for.

use std::collections::BTreeMap;

use chrono::Utc;
use line::Time;

use crate::{
    filter::Glob,
    opensearch,
    plan::{Known, Wanted},
    source::opensearch::Store,
};

/// A line that is older is no sign that lines arrive.
const FRESH_NANOS: i64 = 60_000_000_000;

/// What a person should know where the newest line of a component that is
/// asked for is older than a minute, and the present is asked for.
///
/// It costs one question where lines arrive.
#[must_use]
pub fn note(store: &Store, wanted: &Wanted, known: &Known) -> Option<String> {
    let now = Utc::now().timestamp_nanos_opt()?;
    let recent = Time::from_nanos(now.saturating_sub(FRESH_NANOS));
    // A photo's way and a trace come to an end.
    let is_past = wanted.span.until.is_some_and(|until| until < recent);
    if is_past || wanted.is_traced() {
        return None;
    }
    match old(store, wanted, known, recent) {
        Ok(old) if old.is_empty() => None,
        Ok(old) => {
            let ages = old.into_iter().map(|(name, newest)| {
                let age = age(now.saturating_sub(newest.nanos()));
                format!("the newest line of {name} is {age} old")
            });
            let ages: Vec<String> = ages.collect();
            Some(format!(
                "the view may be stale: {}. `logq doctor` says whether lines still arrive",
                ages.join(", ")
            ))
        }
        Err(error) => Some(format!("whether lines still arrive was not found out: {error}")),
    }
}

/// What has no recent line, with the time of its newest.
fn old(
    store: &Store,
    wanted: &Wanted,
    known: &Known,
    recent: Time,
) -> opensearch::Result<BTreeMap<String, Time>> {
    let used = known.used.iter().filter_map(|name| Glob::new(name).ok());
    let asked: Vec<Glob> = wanted.components.iter().cloned().chain(used).collect();
    let arriving = store.components_since(&wanted.place, recent)?;
    let mut old = BTreeMap::new();
    if asked.is_empty() && arriving.is_empty() {
        let newest = store.newest(&wanted.place, None)?;
        old.extend(newest.map(|newest| ("what is asked for".to_owned(), newest)));
    }
    for glob in asked {
        if arriving.iter().any(|name| glob.fits(name)) {
            continue;
        }
        // What has no line at all is not late.
        if let Some(newest) = store.newest(&wanted.place, Some(&glob))? {
            old.insert(glob.as_str().to_owned(), newest);
        }
    }
    Ok(old)
}

/// How old something is, as people say it.
fn age(nanos: i64) -> String {
    let seconds = nanos / 1_000_000_000;
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_roughly() {
        for (seconds, told) in [
            (61, "61 s"),
            (300, "5 min"),
            (7_300, "2 h"),
            (1_000_000, "11 days"),
        ] {
            assert_eq!(age(seconds * 1_000_000_000), told);
        }
    }
}
