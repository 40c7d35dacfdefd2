//! Checks whether each component's lines arrive, and their delay.

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

/// After this silence, a component may be disconnected.
const SILENT_SECONDS: f64 = 300.0;
/// Maximum healthy median delay. Fluentd needs 1 to 7 s.
const LATE_SECONDS: f64 = 10.0;
/// Above this median delay, something is broken.
pub const TOO_LATE_SECONDS: f64 = 60.0;
/// Maximum delay of one line, for example after a restart of Fluentd.
const WORST_SECONDS: f64 = 300.0;
/// A worker may have stopped if it is silent for longer while photos wait for longer.
const STOPPED_SECONDS: f64 = 60.0;

/// Components that log nothing while they are healthy.
const QUIET_COMPONENTS: [&str; 1] = [OBJECT_STORE];

/// Judges the expected components and those with lines. `written`: what pods or files contain, if readable.
pub fn judge(
    arrivals: &Arrivals,
    written: Option<&BTreeMap<ComponentKey, WrittenStats>>,
    now: f64,
) -> Vec<Finding> {
    // If the cluster has none of our components, it is another cluster.
    let written = written.filter(|written| !written.is_empty());
    let expected = expected(arrivals, written, now);
    let namespaces: BTreeSet<&str> = expected.iter().map(|key| key.namespace.as_str()).collect();
    let title = |key: &ComponentKey| match namespaces.len() {
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

/// Number of running pods; None if the cluster does not have the namespace, or with files only.
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

/// The expected components: our services, their dependencies, and everything that runs.
fn expected(
    arrivals: &Arrivals,
    written: Option<&BTreeMap<ComponentKey, WrittenStats>>,
    now: f64,
) -> BTreeSet<ComponentKey> {
    let services = [IRMGARD, ANONYMIZER];
    if let Some(written) = written {
        // A finished job may be absent, but not its lines.
        let runs = |written: &WrittenStats| written.running != Some(0) || written.missing.is_some();
        let present = written.iter().filter(|(_, written)| runs(written));
        let present = present.map(|(key, _)| key.clone());
        let is_expected =
            |key: &ComponentKey| services.contains(&key.component.as_str()) || arrivals.used.contains(key);
        let wrote = arrivals.components.keys().filter(|key| is_expected(key)).cloned();
        // A worker that never ran is expected if photos wait.
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

/// Reports clocks that are ahead: lines were stored before they were written.
pub fn clocks(arrivals: &Arrivals) -> Finding {
    const WHAT: &str = "clocks of the nodes";
    let ahead: Vec<String> = arrivals
        .ahead
        .iter()
        .filter(|(_, ahead)| **ahead > CLOCK_TOLERANCE_SECONDS)
        .map(|(node, ahead)| {
            let node = if node.is_empty() {
                "a machine without a node name"
            } else {
                node
            };
            format!("{node} is {} ahead of OpenSearch", format_seconds(*ahead))
        })
        .collect();
    if arrivals.ahead.is_empty() {
        Finding::skip(
            WHAT,
            "no line arrived in 15 m",
            "run this again when lines arrive",
        )
    } else if ahead.is_empty() {
        Finding::ok(
            WHAT,
            format!(
                "no line of {} has a future time",
                format_count(arrivals.ahead.len() as u64, "node")
            ),
        )
    } else {
        Finding::warn(
            WHAT,
            ahead.join(", "),
            "synchronize the clocks with NTP: logq sorts lines by their times",
        )
    }
}

/// Reports lines of the last hour that were changed on the way, by tag.
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
        format!("these lines are stored but changed: logq --since 1h -f tags={first}"),
    )
}

#[cfg(test)]
mod tests;
