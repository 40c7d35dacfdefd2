//! Whether each component's lines arrive, and how late.

mod component;
mod day;
mod waiting;
mod written;

use std::collections::{BTreeMap, BTreeSet};

use schema::{
    component::{ANONYMIZER, IRMGARD, OBJECT_STORE},
    tag,
};

use self::component::{Component, lateness};
pub use self::{
    day::{Day, Place, Seen, day},
    waiting::Waiting,
    written::{Missing, Written},
};
use super::{
    cluster::SAME_SECONDS,
    finding::Finding,
    text::{counted, seconds},
};

/// A component that has been silent for longer may be cut off.
const SILENT_SECONDS: f64 = 300.0;
/// Half of the lines may be later than this at most; Fluentd needs 1 to 7 s.
const LATE_SECONDS: f64 = 10.0;
/// Half of the lines are later than this when something is broken.
pub const TOO_LATE_SECONDS: f64 = 60.0;
/// One line may be this late: after a Fluentd has been started again.
const WORST_SECONDS: f64 = 300.0;
/// A worker that writes no line for longer, while photos have been waiting for longer, may have stopped.
const STOPPED_SECONDS: f64 = 60.0;

/// Components that write nothing while all goes well.
const QUIET: [&str; 1] = [OBJECT_STORE];

/// What is found of the components: those that must be there, and those that
/// were seen. `written`: by component, where pods or files could be read.
pub fn judge(day: &Day, written: Option<&BTreeMap<Place, Written>>, now: f64) -> Vec<Finding> {
    // Another cluster than that of the lines says nothing of them.
    let written = written.filter(|written| !written.is_empty());
    let expected = expected(day, written, now);
    let namespaces: BTreeSet<&str> = expected.iter().map(|place| place.namespace.as_str()).collect();
    let title = |place: &Place| match namespaces.len() {
        // Said where there are several.
        0 | 1 => format!("lines of {}", place.component),
        _ if place.namespace.is_empty() => format!("lines of {} outside a cluster", place.component),
        _ => format!("lines of {} in {}", place.component, place.namespace),
    };
    let arrived = day.components.values().map(|seen| seen.stored);
    let nothing_comes = now - arrived.fold(0.0, f64::max) > SILENT_SECONDS;
    let mut findings = Vec::new();
    for place in &expected {
        let known = Component {
            title: title(place),
            place,
            seen: day.components.get(place),
            written: written.and_then(|written| written.get(place)),
            running: written.and_then(|written| running(place, written)),
            waiting: day.waiting.get(&place.namespace),
            nothing_comes,
            now,
        };
        findings.push(known.judge());
    }
    let mut others = BTreeSet::new();
    for (place, seen) in &day.components {
        if expected.contains(place) {
            continue;
        }
        match lateness(&title(place), seen) {
            Some(finding) => findings.push(finding),
            None => {
                others.insert(place.component.as_str());
            }
        }
    }
    if !others.is_empty() {
        let others: Vec<&str> = others.into_iter().collect();
        findings.push(Finding::ok("lines of others", others.join(", ")));
    }
    findings
}

/// How many pods of a component run; none where kubectl does not know its namespace, or only files are known.
fn running(place: &Place, written: &BTreeMap<Place, Written>) -> Option<usize> {
    match written.get(place) {
        Some(written) => written.running,
        None => {
            let others = written
                .iter()
                .filter(|(other, _)| other.namespace == place.namespace);
            let mut running = others.filter_map(|(_, written)| written.running);
            running.next().map(|_| 0)
        }
    }
}

/// What must be there: our services and what they use, and what runs.
fn expected(day: &Day, written: Option<&BTreeMap<Place, Written>>, now: f64) -> BTreeSet<Place> {
    let services = [IRMGARD, ANONYMIZER];
    if let Some(written) = written {
        // A job that has ended is not missed; its lines are.
        let runs = |written: &Written| written.running != Some(0) || written.missing.is_some();
        let there = written.iter().filter(|(_, written)| runs(written));
        let there = there.map(|(place, _)| place.clone());
        let is_ours =
            |place: &Place| services.contains(&place.component.as_str()) || day.used.contains(place);
        let wrote = day.components.keys().filter(|place| is_ours(place)).cloned();
        // A worker that never ran is missed where photos have waited for it.
        let is_long = |waiting: &Waiting| waiting.since.is_some_and(|since| now - since > STOPPED_SECONDS);
        let workers = day.waiting.iter().filter(|(_, waiting)| is_long(waiting));
        let workers = workers.map(|(namespace, _)| Place {
            component: ANONYMIZER.to_owned(),
            namespace: namespace.clone(),
        });
        return there.chain(wrote).chain(workers).collect();
    }
    let mut namespaces: BTreeSet<&str> = day
        .components
        .keys()
        .filter(|place| services.contains(&place.component.as_str()))
        .map(|place| place.namespace.as_str())
        .collect();
    if namespaces.is_empty() {
        namespaces.insert("");
    }
    let of = |namespace: &str| {
        services.map(|name| Place {
            component: name.to_owned(),
            namespace: namespace.to_owned(),
        })
    };
    let services = namespaces.into_iter().flat_map(of);
    services.chain(day.used.iter().cloned()).collect()
}

/// Whether lines were stored before they were written.
pub fn clocks(day: &Day) -> Finding {
    const WHAT: &str = "clocks of the nodes";
    let ahead: Vec<String> = day
        .ahead
        .iter()
        .filter(|(_, ahead)| **ahead > SAME_SECONDS)
        .map(|(node, ahead)| {
            let node = if node.is_empty() {
                "a machine without a node's name"
            } else {
                node
            };
            format!("{node} is {} ahead of OpenSearch", seconds(*ahead))
        })
        .collect();
    if day.ahead.is_empty() {
        Finding::skip(
            WHAT,
            "no line has come in 15 m",
            "look again when there are lines",
        )
    } else if ahead.is_empty() {
        Finding::ok(
            WHAT,
            format!(
                "no line of {} is from the future",
                counted(day.ahead.len() as u64, "node")
            ),
        )
    } else {
        Finding::warn(
            WHAT,
            ahead.join(", "),
            "set the clocks by NTP: lines of several nodes are shown in the order of their times",
        )
    }
}

/// Lines of the last hour that came other than their programs wrote them.
pub fn tags(day: &Day) -> Finding {
    const WHAT: &str = "tagged lines";
    let known = tag::MEANINGS.map(|(tag, _)| tag);
    let mut all: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (place, seen) in &day.components {
        for (tag, count) in &seen.tags {
            if known.contains(&tag.as_str()) {
                let name = &place.component;
                all.entry(tag).or_default().push(format!("{count} of {name}"));
            }
        }
    }
    if all.is_empty() {
        return Finding::ok(WHAT, format!("none in the last hour ({})", known.join(", ")));
    }
    let tags: Vec<String> = all
        .iter()
        .map(|(tag, counts)| format!("{tag}: {}", counts.join(", ")))
        .collect();
    let first = all.keys().next().copied().unwrap_or_default();
    Finding::warn(
        WHAT,
        tags.join("; "),
        format!("they are kept, but not as they were meant: logq --since 1h -f tags={first}"),
    )
}

#[cfg(test)]
mod tests;
