//! Whether each component's lines arrive, and how late.

mod arrivals;
mod component;
mod pending_photos;
mod written;

use std::collections::{BTreeMap, BTreeSet};

use schema::{
    component::{ANONYMIZER, IRMGARD, OBJECT_STORE},
    tag,
};

use self::component::{Component, lateness};
pub use self::{
    arrivals::{ArrivalStats, Arrivals, ComponentKey, fetch},
    pending_photos::PendingPhotos,
    written::{MissingLines, WrittenStats},
};
use super::{
    cluster::CLOCK_TOLERANCE_SECONDS,
    finding::Finding,
    format::{format_count, format_seconds},
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
const QUIET_COMPONENTS: [&str; 1] = [OBJECT_STORE];

/// What is found of the components: those that must be there, and those that
/// were seen. `written`: by component, where pods or files could be read.
pub fn judge(
    arrivals: &Arrivals,
    written: Option<&BTreeMap<ComponentKey, WrittenStats>>,
    now: f64,
) -> Vec<Finding> {
    // Another cluster than that of the lines says nothing of them.
    let written = written.filter(|written| !written.is_empty());
    let expected = expected(arrivals, written, now);
    let namespaces: BTreeSet<&str> = expected.iter().map(|key| key.namespace.as_str()).collect();
    let title = |key: &ComponentKey| match namespaces.len() {
        // Said where there are several.
        0 | 1 => format!("lines of {}", key.component),
        _ if key.namespace.is_empty() => format!("lines of {} outside a cluster", key.component),
        _ => format!("lines of {} in {}", key.component, key.namespace),
    };
    let arrived = arrivals.components.values().map(|stats| stats.stored);
    let no_lines_arrive = now - arrived.fold(0.0, f64::max) > SILENT_SECONDS;
    let mut findings = Vec::new();
    for key in &expected {
        let component = Component {
            title: title(key),
            key,
            arrived: arrivals.components.get(key),
            written: written.and_then(|written| written.get(key)),
            running: written.and_then(|written| running(key, written)),
            pending: arrivals.pending.get(&key.namespace),
            no_lines_arrive,
            now,
        };
        findings.push(component.judge());
    }
    let mut others = BTreeSet::new();
    for (key, stats) in &arrivals.components {
        if expected.contains(key) {
            continue;
        }
        match lateness(&title(key), stats) {
            Some(finding) => findings.push(finding),
            None => {
                others.insert(key.component.as_str());
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
fn running(key: &ComponentKey, written: &BTreeMap<ComponentKey, WrittenStats>) -> Option<usize> {
    match written.get(key) {
        Some(written) => written.running,
        None => {
            let others = written
                .iter()
                .filter(|(other, _)| other.namespace == key.namespace);
            let mut running = others.filter_map(|(_, written)| written.running);
            running.next().map(|_| 0)
        }
    }
}

/// What must be there: our services and what they use, and what runs.
fn expected(
    arrivals: &Arrivals,
    written: Option<&BTreeMap<ComponentKey, WrittenStats>>,
    now: f64,
) -> BTreeSet<ComponentKey> {
    let services = [IRMGARD, ANONYMIZER];
    if let Some(written) = written {
        // A job that has ended is not missed; its lines are.
        let runs = |written: &WrittenStats| written.running != Some(0) || written.missing.is_some();
        let present = written.iter().filter(|(_, written)| runs(written));
        let present = present.map(|(key, _)| key.clone());
        let is_expected =
            |key: &ComponentKey| services.contains(&key.component.as_str()) || arrivals.used.contains(key);
        let wrote = arrivals.components.keys().filter(|key| is_expected(key)).cloned();
        // A worker that never ran is missed where photos have waited for it.
        let is_long =
            |waiting: &PendingPhotos| waiting.since.is_some_and(|since| now - since > STOPPED_SECONDS);
        let workers = arrivals.pending.iter().filter(|(_, waiting)| is_long(waiting));
        let workers = workers.map(|(namespace, _)| ComponentKey {
            component: ANONYMIZER.to_owned(),
            namespace: namespace.clone(),
        });
        return present.chain(wrote).chain(workers).collect();
    }
    let mut namespaces: BTreeSet<&str> = arrivals
        .components
        .keys()
        .filter(|key| services.contains(&key.component.as_str()))
        .map(|key| key.namespace.as_str())
        .collect();
    if namespaces.is_empty() {
        namespaces.insert("");
    }
    let of = |namespace: &str| {
        services.map(|name| ComponentKey {
            component: name.to_owned(),
            namespace: namespace.to_owned(),
        })
    };
    let services = namespaces.into_iter().flat_map(of);
    services.chain(arrivals.used.iter().cloned()).collect()
}

/// Whether lines were stored before they were written.
pub fn clocks(arrivals: &Arrivals) -> Finding {
    const WHAT: &str = "clocks of the nodes";
    let ahead: Vec<String> = arrivals
        .ahead
        .iter()
        .filter(|(_, ahead)| **ahead > CLOCK_TOLERANCE_SECONDS)
        .map(|(node, ahead)| {
            let node = if node.is_empty() {
                "a machine without a node's name"
            } else {
                node
            };
            format!("{node} is {} ahead of OpenSearch", format_seconds(*ahead))
        })
        .collect();
    if arrivals.ahead.is_empty() {
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
                format_count(arrivals.ahead.len() as u64, "node")
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
pub fn tags(arrivals: &Arrivals) -> Finding {
    const WHAT: &str = "tagged lines";
    let known = tag::MEANINGS.map(|(tag, _)| tag);
    let mut all: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (key, stats) in &arrivals.components {
        for (tag, count) in &stats.tags {
            if known.contains(&tag.as_str()) {
                let name = &key.component;
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
