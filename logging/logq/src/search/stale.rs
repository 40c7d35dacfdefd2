//! Checks whether OpenSearch still receives the lines of the requested components.

use chrono::Utc;
use line::Time;
use schema::field;

use crate::{
    filter::{Filter, Glob},
    opensearch,
    query::{Query, ResolvedContext},
    source::opensearch::OpenSearchSource,
};

/// An older line does not prove that lines arrive.
const FRESH_NANOS: i64 = 60_000_000_000;

/// A note if a requested component has been silent for a minute, and the query includes the present. The note also says
/// if the component may be idle. A dependency is reported only if it does not look idle.
///
/// Costs one request if lines arrive.
#[must_use]
pub fn note(store: &OpenSearchSource, query: &Query, context: &ResolvedContext) -> Option<String> {
    let now = Utc::now().timestamp_nanos_opt()?;
    let recent = Time::from_nanos(now.saturating_sub(FRESH_NANOS));
    // Traces and photos come to an end.
    let is_past = query.time_range.until.is_some_and(|until| until < recent);
    if is_past || query.asks_for_traces() {
        return None;
    }
    match silent_components(store, query, context, recent) {
        Ok(silent) if silent.is_empty() => None,
        Ok(silent) => Some(format!(
            "the view may be stale: {}. `logq doctor` checks whether lines still arrive; `logq doctor \
             FOLDER` compares files",
            silent
                .iter()
                .map(SilentComponent::description)
                .collect::<Vec<_>>()
                .join(", ")
        )),
        Err(error) => Some(format!("cannot check whether lines still arrive: {error}")),
    }
}

struct SilentComponent {
    name: String,
    /// Age of its newest line in seconds; None if it is over a day.
    seconds: Option<f64>,
    /// Other components are active, and it has been silent for this long before.
    may_be_idle: bool,
}

impl SilentComponent {
    fn description(&self) -> String {
        let name = &self.name;
        let idle = if self.may_be_idle {
            " (other components are active: it may be idle)"
        } else {
            ""
        };
        match self.seconds {
            Some(seconds) => format!(
                "the newest line of {name} arrived {} ago{idle}",
                format_age(seconds as i64)
            ),
            None => format!("no line of {name} has arrived for a day{idle}"),
        }
    }
}

fn silent_components(
    store: &OpenSearchSource,
    query: &Query,
    context: &ResolvedContext,
    recent: Time,
) -> opensearch::Result<Vec<SilentComponent>> {
    let used = context
        .dependencies
        .iter()
        .filter_map(|name| Glob::new(name).ok());
    let named = query.components.iter().map(|glob| (glob.clone(), true));
    let mut candidates: Vec<(Glob, bool)> = named.chain(used.map(|glob| (glob, false))).collect();
    let arriving = store.components_since(&query.pod_filter, recent)?;
    let is_any = candidates.is_empty();
    candidates.retain(|(glob, _)| !arriving.iter().any(|name| glob.is_match(name)));
    let candidates: Vec<(Option<&Glob>, bool)> = match is_any {
        true if arriving.is_empty() => vec![(None, true)],
        _ => candidates
            .iter()
            .map(|(glob, is_named)| (Some(glob), *is_named))
            .collect(),
    };
    if candidates.is_empty() {
        return Ok(Vec::new());
    }
    let others_come =
        !arriving.is_empty() || !store.components_since(&Filter::EVERYTHING, recent)?.is_empty();
    let mut silent = Vec::new();
    for (glob, is_named) in candidates {
        let lines = component_filter(&query.pod_filter, glob);
        let (seconds, is_missed) = match store.rhythm(&lines)? {
            Some((rhythm, now)) => (Some(now - rhythm.newest), rhythm.is_broken(now)),
            // A component without any line is not late.
            None if store.has_match(&lines)? => (None, false),
            None => continue,
        };
        let may_be_idle = others_come && !is_missed;
        if is_named || !may_be_idle {
            silent.push(SilentComponent {
                name: glob.map_or("the query", Glob::as_str).to_owned(),
                seconds,
                may_be_idle,
            });
        }
    }
    Ok(silent)
}

fn component_filter(pod_filter: &Filter, component: Option<&Glob>) -> Filter {
    let component = component.map(|glob| Filter::Glob(field::COMPONENT.to_owned(), glob.clone()));
    Filter::All([pod_filter.clone()].into_iter().chain(component).collect())
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
