//! Whether each component's lines arrive, and how late.

mod day;

use std::collections::{BTreeMap, BTreeSet};

use schema::{component, tag};

pub use self::day::{Day, Place, Seen, day};
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
const TOO_LATE_SECONDS: f64 = 60.0;
/// One line may be this late: after a Fluentd has been started again.
const WORST_SECONDS: f64 = 300.0;

/// Components that write nothing while all goes well.
const QUIET: [&str; 1] = [component::OBJECT_STORE];

/// What the pods of a component say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pods {
    /// How many run.
    pub running: usize,
    /// The newest line that one of them has written, seconds since 1970, and
    /// that pod; none where nothing was written or could be read.
    pub newest: Option<(f64, String)>,
    /// Whether they could all be asked.
    pub asked: bool,
}

/// What is found of the components: those that must be there, and those that
/// were seen. `pods`: by component, where the cluster could be asked.
pub fn judge(day: &Day, pods: Option<&BTreeMap<Place, Pods>>, now: f64) -> Vec<Finding> {
    let expected = expected(day, pods);
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
        let looked = Looked {
            title: title(place),
            place,
            seen: day.components.get(place),
            pods: pods.and_then(|pods| pods.get(place)),
            nothing_comes,
            now,
        };
        findings.push(looked.judge());
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

/// What must be there.
fn expected(day: &Day, pods: Option<&BTreeMap<Place, Pods>>) -> BTreeSet<Place> {
    if let Some(pods) = pods {
        return pods.keys().cloned().collect();
    }
    let services = [component::IRMGARD, component::ANONYMIZER];
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

/// What there is to say of one component.
struct Looked<'a> {
    title: String,
    place: &'a Place,
    seen: Option<&'a Seen>,
    pods: Option<&'a Pods>,
    /// Nor of any other.
    nothing_comes: bool,
    now: f64,
}

impl Looked<'_> {
    fn judge(&self) -> Finding {
        if let Some(finding) = self.missing() {
            return finding;
        }
        let name = &self.place.component;
        let asked = self.pods.is_some_and(|pods| pods.asked);
        let Some(seen) = self.seen else {
            if asked {
                return Finding::ok(&self.title, "its pods have written none that is missing");
            }
            if QUIET.contains(&name.as_str()) {
                return Finding::ok(&self.title, "none: it writes nothing while all goes well");
            }
            return Finding::warn(
                &self.title,
                "none has come in 24 h",
                format!(
                    "does it run, and does Fluentd on its node? logq --source kubectl -c {name} shows what it writes"
                ),
            );
        };
        if let Some(finding) = lateness(&self.title, seen) {
            return finding;
        }
        let newest = format!("the newest {} ago", seconds((self.now - seen.stored).max(0.0)));
        if self.now - seen.stored <= SILENT_SECONDS || asked {
            return Finding::ok(&self.title, described(&newest, seen));
        }
        let remedy = format!("compare with what it writes: logq --source kubectl -c {name} --tail 1");
        match seen.rhythm {
            _ if self.nothing_comes => Finding::warn(
                &self.title,
                format!("{newest}, and none of any other component since"),
                remedy,
            ),
            Some(rhythm) if rhythm.is_broken(self.now) => Finding::warn(
                &self.title,
                format!(
                    "{newest}, and never that long before: it came at least every {} for {}",
                    seconds(rhythm.longest.max(60.0)),
                    seconds(rhythm.span)
                ),
                remedy,
            ),
            _ => Finding::ok(
                &self.title,
                format!("{newest}: idle, by how it wrote before; others' lines come"),
            ),
        }
    }

    /// What its pods have written and has not come.
    fn missing(&self) -> Option<Finding> {
        let (written, pod) = self.pods?.newest.as_ref()?;
        let now = self.now;
        let arrived = self.seen.map_or(0.0, |seen| match seen.written {
            // A line from the future says nothing of those that were written since.
            written if written > now + SAME_SECONDS => seen.stored,
            written => written.max(seen.stored),
        });
        // What has just been written is still on its way.
        if now - written <= TOO_LATE_SECONDS || written - arrived <= SAME_SECONDS {
            return None;
        }
        let newest = self.seen.map_or_else(
            || "none has come in 24 h".to_owned(),
            |seen| {
                format!(
                    "the newest that has come is {} old",
                    seconds((now - seen.written).max(0.0))
                )
            },
        );
        Some(Finding::fail(
            &self.title,
            format!("{pod} wrote a line {} ago, and {newest}", seconds(now - written)),
            "look at the lines of Fluentd on that pod's node: kubectl logs -l app.kubernetes.io/name=fluentd",
        ))
    }
}

fn described(newest: &str, seen: &Seen) -> String {
    if seen.late.is_empty() {
        return newest.to_owned();
    }
    format!("{newest}; {}", delays(seen))
}

fn delays(seen: &Seen) -> String {
    format!(
        "{} late in the middle, {} at worst, of {}",
        seconds(seen.median().max(0.0)),
        seconds(seen.worst()),
        counted(seen.late.len() as u64, "line")
    )
}

/// What is wrong with the time that lines take now.
fn lateness(title: &str, seen: &Seen) -> Option<Finding> {
    let remedy = "is OpenSearch slow, Fluentd's buffer full, or was a Fluentd away? (A `logq import` of old lines counts too; so \
                  does a clock that is behind.)";
    let median = seen.median();
    if median > TOO_LATE_SECONDS {
        Some(Finding::fail(title, delays(seen), remedy))
    } else if median > LATE_SECONDS || seen.worst() > WORST_SECONDS {
        Some(Finding::warn(title, delays(seen), remedy))
    } else {
        None
    }
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
