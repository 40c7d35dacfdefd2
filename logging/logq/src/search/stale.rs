//! Whether OpenSearch still gets the lines of what is asked for.

use chrono::Utc;
use line::Time;
use schema::field;

use crate::{
    filter::{Filter, Glob},
    opensearch,
    plan::{Known, Wanted},
    source::opensearch::Store,
};

/// A line that came longer ago is no sign that lines arrive.
const FRESH_NANOS: i64 = 60_000_000_000;

/// What a person should know where nothing has come of a component that is asked for for a minute, the present is asked for,
/// and it is not merely idle: nothing comes of any other either, or it was never silent for so long
/// ([`crate::source::opensearch::Rhythm`]).
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
    match missed(store, wanted, known, recent) {
        Ok(missed) if missed.is_empty() => None,
        Ok(missed) => {
            let ages = missed.into_iter().map(|(name, seconds)| match seconds {
                Some(seconds) => format!("the newest line of {name} came {} ago", age(seconds as i64)),
                None => format!("no line of {name} has come for a day"),
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

/// What is missed, with how many seconds ago its newest line came; none if that is over a day.
fn missed(
    store: &Store,
    wanted: &Wanted,
    known: &Known,
    recent: Time,
) -> opensearch::Result<Vec<(String, Option<f64>)>> {
    let used = known.used.iter().filter_map(|name| Glob::new(name).ok());
    let mut asked: Vec<Glob> = wanted.components.iter().cloned().chain(used).collect();
    let arriving = store.components_since(&wanted.place, recent)?;
    let is_any = asked.is_empty();
    asked.retain(|glob| !arriving.iter().any(|name| glob.fits(name)));
    let silent: Vec<Option<&Glob>> = match is_any {
        true if arriving.is_empty() => vec![None],
        _ => asked.iter().map(Some).collect(),
    };
    if silent.is_empty() {
        return Ok(Vec::new());
    }
    let nothing_comes =
        arriving.is_empty() && store.components_since(&Filter::EVERYTHING, recent)?.is_empty();
    let mut missed = Vec::new();
    for glob in silent {
        let seconds = match store.rhythm(&of(&wanted.place, glob))? {
            Some((rhythm, now)) if nothing_comes || rhythm.is_broken(now) => Some(now - rhythm.newest),
            // What has no line at all is not late.
            None if nothing_comes && store.any(&of(&wanted.place, glob))? => None,
            _ => continue,
        };
        let name = glob.map_or("what is asked for", Glob::as_str);
        missed.push((name.to_owned(), seconds));
    }
    Ok(missed)
}

fn of(place: &Filter, component: Option<&Glob>) -> Filter {
    let component = component.map(|glob| Filter::Glob(field::COMPONENT.to_owned(), glob.clone()));
    Filter::All([place.clone()].into_iter().chain(component).collect())
}

/// How old something is, as people say it.
fn age(seconds: i64) -> String {
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
            assert_eq!(age(seconds), told);
        }
    }
}
