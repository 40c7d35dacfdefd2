//! Reports the age of the newest line of a silent component.

use log_normalizer::Time;
use schema::field;

use super::OpenSearchSource;
use crate::{
    filter::{Filter, Glob},
    opensearch,
    query::{Query, ResolvedContext},
    time::Clock,
};

/// A component with a newer line is not silent.
const FRESH_NANOS: i64 = 60_000_000_000;

/// A note if a requested component or dependency has been silent for a minute, and the query includes the present.
///
/// Costs one request if lines arrive.
#[must_use]
pub fn note(store: &OpenSearchSource, query: &Query, context: &ResolvedContext) -> Option<String> {
    let now = Clock::system(true).now();
    let recent = Time::from_nanos(now.nanos().saturating_sub(FRESH_NANOS));
    // Traces and photos come to an end.
    let is_past = query.time_range.until.is_some_and(|until| until < recent);
    if is_past || query.asks_for_traces() {
        return None;
    }
    match newest_lines(store, query, context, recent) {
        Ok(newest) if newest.is_empty() => None,
        Ok(newest) => {
            let ages = newest.iter().map(|(name, time)| {
                let seconds = now.nanos().saturating_sub(time.nanos()) / 1_000_000_000;
                format!("the newest line of {name} arrived {} ago", format_age(seconds))
            });
            let ages = ages.collect::<Vec<_>>().join(", ");
            Some(format!("{ages}; `logq doctor` checks whether lines arrive"))
        }
        Err(error) => Some(format!("cannot check whether lines still arrive: {error}")),
    }
}

/// The silent components, with the arrival of the newest line. Omits components without any line.
fn newest_lines(
    store: &OpenSearchSource,
    query: &Query,
    context: &ResolvedContext,
    recent: Time,
) -> opensearch::Result<Vec<(String, Time)>> {
    let used = context
        .dependencies
        .iter()
        .filter_map(|name| Glob::new(name).ok());
    let mut silent: Vec<Option<Glob>> = query.components.iter().cloned().chain(used).map(Some).collect();
    let arriving = store.components_since(&query.pod_filter, recent)?;
    if silent.is_empty() && arriving.is_empty() {
        silent.push(None);
    }
    silent.retain(|glob| {
        let is_match = |name: &String| glob.as_ref().is_some_and(|glob| glob.is_match(name));
        !arriving.iter().any(is_match)
    });
    let mut newest = Vec::new();
    for glob in silent {
        let name = glob.as_ref().map_or("the query", Glob::as_str).to_owned();
        let component = glob.map(|glob| Filter::Glob(field::COMPONENT.to_owned(), glob));
        let lines = Filter::All([query.pod_filter.clone()].into_iter().chain(component).collect());
        newest.extend(store.newest_arrival(&lines)?.map(|time| (name, time)));
    }
    Ok(newest)
}

fn format_age(seconds: i64) -> String {
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
    fn ages_are_rounded() {
        for (seconds, expected) in [
            (61, "61 s"),
            (300, "5 min"),
            (7_300, "2 h"),
            (1_000_000, "11 days"),
        ] {
            assert_eq!(format_age(seconds), expected);
        }
    }
}
