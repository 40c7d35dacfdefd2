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

/// What a person should know where nothing has come of a component that is asked for for a minute, and the present is asked for.
/// Whether it is merely idle nobody can know; where lines of others come, that is said, too.
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
    match silent(store, wanted, known, recent) {
        Ok(silent) if silent.names.is_empty() => None,
        Ok(Silent { names, others_come }) => {
            let ages = names.into_iter().map(|(name, seconds)| match seconds {
                Some(seconds) => format!("the newest line of {name} came {} ago", age(seconds as i64)),
                None => format!("no line of {name} has come for a day"),
            });
            let ages: Vec<String> = ages.collect();
            let idle = if others_come {
                " (lines of others come: it may be idle)"
            } else {
                ""
            };
            Some(format!(
                "the view may be stale: {}{idle}. `logq doctor` says whether lines still arrive",
                ages.join(", ")
            ))
        }
        Err(error) => Some(format!("whether lines still arrive was not found out: {error}")),
    }
}

/// Of whom nothing comes.
struct Silent {
    /// Names, with how many seconds ago the newest line came; none if that is over a day.
    names: Vec<(String, Option<f64>)>,
    others_come: bool,
}

fn silent(store: &Store, wanted: &Wanted, known: &Known, recent: Time) -> opensearch::Result<Silent> {
    let used = known.used.iter().filter_map(|name| Glob::new(name).ok());
    let mut asked: Vec<Glob> = wanted.components.iter().cloned().chain(used).collect();
    let arriving = store.components_since(&wanted.place, recent)?;
    let is_any = asked.is_empty();
    asked.retain(|glob| !arriving.iter().any(|name| glob.fits(name)));
    let silent: Vec<Option<&Glob>> = match is_any {
        true if arriving.is_empty() => vec![None],
        _ => asked.iter().map(Some).collect(),
    };
    let mut names = Vec::new();
    for glob in silent {
        let lines = of(&wanted.place, glob);
        let seconds = match store.rhythm(&lines)? {
            Some((rhythm, now)) => Some(now - rhythm.newest),
            // What has no line at all is not late.
            None if store.any(&lines)? => None,
            None => continue,
        };
        let name = glob.map_or("what is asked for", Glob::as_str);
        names.push((name.to_owned(), seconds));
    }
    let others_come = !names.is_empty()
        && (!arriving.is_empty() || !store.components_since(&Filter::EVERYTHING, recent)?.is_empty());
    Ok(Silent { names, others_come })
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
