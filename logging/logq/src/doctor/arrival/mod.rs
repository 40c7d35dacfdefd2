//! Whether each component's lines arrive, and how late.

mod day;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};

use schema::{component, tag};

pub use self::{
    day::{Day, Place, Seen, day},
    waiting::Waiting,
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
const QUIET: [&str; 1] = [component::OBJECT_STORE];

/// What the pods or files of a component hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// How many pods run; none where only files are known.
    pub running: Option<usize>,
    /// When the newest line was written, seconds since 1970.
    pub newest: Option<f64>,
    /// How many lines were looked for in OpenSearch.
    pub compared: u64,
    /// Those that OpenSearch does not have.
    pub missing: Option<Missing>,
    /// Why not all lines could be read.
    pub unread: Option<String>,
}

/// Lines that OpenSearch does not have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Missing {
    /// How many.
    pub count: u64,
    /// When the first of them was written, seconds since 1970.
    pub first: f64,
    /// When the last of them was written.
    pub last: f64,
    /// The pods that wrote them.
    pub pods: BTreeSet<String>,
}

impl Missing {
    /// Adds a line that a pod wrote at this time.
    pub fn add(&mut self, pod: &str, time: f64) {
        let is_first = self.count == 0;
        self.count += 1;
        self.first = if is_first { time } else { self.first.min(time) };
        self.last = if is_first { time } else { self.last.max(time) };
        if !self.pods.contains(pod) {
            self.pods.insert(pod.to_owned());
        }
    }

    /// The first of the pods, and how many others there are.
    fn by(&self) -> String {
        let pod = self.pods.first().map_or("?", String::as_str);
        match self.pods.len().saturating_sub(1) {
            0 => pod.to_owned(),
            others => format!("{pod} and {}", counted(others as u64, "other pod")),
        }
    }
}

/// What is found of the components: those that must be there, and those that
/// were seen. `written`: by component, where pods or files could be read.
pub fn judge(day: &Day, written: Option<&BTreeMap<Place, Written>>, now: f64) -> Vec<Finding> {
    let expected = expected(day, written);
    let namespaces: BTreeSet<&str> = expected.iter().map(|place| place.namespace.as_str()).collect();
    let title = |place: &Place| match namespaces.len() {
        // Said where there are several.
        0 | 1 => format!("lines of {}", place.component),
        _ if place.namespace.is_empty() => format!("lines of {} outside a cluster", place.component),
        _ => format!("lines of {} in {}", place.component, place.namespace),
    };
    let arrived = day.components.values().map(|seen| seen.stored);
    let nothing_comes = now - arrived.fold(0.0, f64::max) > SILENT_SECONDS;
    // A place without pods is not in the list; of files nobody knows what runs.
    let is_cluster = |all: &BTreeMap<Place, Written>| all.values().any(|written| written.running.is_some());
    let running = |place: &Place| {
        let all = written.filter(|all| is_cluster(all))?;
        all.get(place).map_or(Some(0), |written| written.running)
    };
    let mut findings = Vec::new();
    for place in &expected {
        let looked = Looked {
            title: title(place),
            place,
            seen: day.components.get(place),
            written: written.and_then(|written| written.get(place)),
            running: running(place),
            waiting: day.waiting.get(&place.namespace),
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

/// What must be there: our services and what they use, and what runs.
fn expected(day: &Day, written: Option<&BTreeMap<Place, Written>>) -> BTreeSet<Place> {
    let services = [component::IRMGARD, component::ANONYMIZER];
    if let Some(written) = written {
        // A job that has ended is not missed; its lines are.
        let runs = |written: &Written| written.running != Some(0) || written.missing.is_some();
        let there = written.iter().filter(|(_, written)| runs(written));
        let there = there.map(|(place, _)| place.clone());
        let is_ours =
            |place: &Place| services.contains(&place.component.as_str()) || day.used.contains(place);
        let wrote = day.components.keys().filter(|place| is_ours(place)).cloned();
        return there.chain(wrote).collect();
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

/// What there is to say of one component.
struct Looked<'a> {
    title: String,
    place: &'a Place,
    seen: Option<&'a Seen>,
    written: Option<&'a Written>,
    /// How many of its pods run, where the cluster says so.
    running: Option<usize>,
    /// Photos that wait for a worker of this namespace.
    waiting: Option<&'a Waiting>,
    /// Nor of any other.
    nothing_comes: bool,
    now: f64,
}

impl Looked<'_> {
    fn judge(&self) -> Finding {
        let late = |seen| lateness(&self.title, seen);
        self.missing()
            .or_else(|| self.seen.and_then(late))
            .or_else(|| self.stopped())
            .or_else(|| self.gone())
            .unwrap_or_else(|| match self.seen {
                Some(seen) => self.silence(seen),
                None => self.unseen(),
            })
    }

    fn ago(&self, time: f64) -> String {
        format!("{} ago", seconds((self.now - time).max(0.0)))
    }

    fn newest(&self) -> String {
        self.seen.map_or_else(
            || "none has come in 24 h".to_owned(),
            |seen| format!("the newest {}", self.ago(seen.stored)),
        )
    }

    /// Lines that were written and have not come.
    fn missing(&self) -> Option<Finding> {
        let written = self.written?;
        let missing = written.missing.as_ref()?;
        let pods = missing.by();
        let lines = counted(written.compared, "line");
        let what = if missing.count == written.compared {
            format!("none of {lines} has come")
        } else {
            format!("{} of {lines} have not come", missing.count)
        };
        let unread = written.unread.as_ref();
        let unread = unread.map_or_else(String::new, |why| format!("; others could not be read: {why}"));
        let when = match (self.ago(missing.first), self.ago(missing.last)) {
            (first, last) if first == last => format!("{pods} wrote {first}"),
            (first, last) => format!("{pods} wrote the first {first}, the last {last}"),
        };
        Some(Finding::fail(
            &self.title,
            format!("{what}: {when}{unread}"),
            "look at what brings the lines: Fluentd on that pod's node, kubectl logs -l app.kubernetes.io/name=fluentd; on \
             this machine, local status",
        ))
    }

    /// A worker that is silent while photos wait for it.
    fn stopped(&self) -> Option<Finding> {
        let waiting = self.work()?;
        let is_long = |since: f64| self.now - since > STOPPED_SECONDS;
        if self.seen.is_some_and(|seen| !is_long(seen.stored)) || !is_long(waiting.since) {
            return None;
        }
        let runs = if self.running == Some(0) {
            "no pod of it runs; "
        } else {
            ""
        };
        Some(Finding::warn(
            &self.title,
            format!("{runs}{}, while {}", self.newest(), waiting.described(self.now)),
            "does it run, and does it reach RabbitMQ? kubectl get pods -l app.kubernetes.io/name=anonymizer, on this \
             machine local status; logq -c anonymizer --tail 5 shows its last lines",
        ))
    }

    /// The photos that wait for this component.
    fn work(&self) -> Option<&Waiting> {
        self.waiting
            .filter(|_| self.place.component == component::ANONYMIZER)
    }

    /// A component without a pod that runs, whose lines came today.
    fn gone(&self) -> Option<Finding> {
        let seen = self.seen.filter(|_| self.running == Some(0))?;
        Some(Finding::warn(
            &self.title,
            format!(
                "no pod of it runs; its newest line came {}",
                self.ago(seen.stored)
            ),
            format!(
                "was it scaled to 0, or does it not start? kubectl get pods -A -l app.kubernetes.io/name={}",
                self.place.component
            ),
        ))
    }

    /// A component of which no line has come.
    fn unseen(&self) -> Finding {
        let name = &self.place.component;
        match self.written.filter(|written| written.unread.is_none()) {
            Some(Written { newest: None, .. }) => {
                Finding::ok(&self.title, "its pods have written none in 24 h")
            }
            Some(Written {
                newest: Some(newest),
                compared: 0,
                ..
            }) => Finding::ok(
                &self.title,
                format!(
                    "its pods wrote the first {}: too new to be missed",
                    self.ago(*newest)
                ),
            ),
            _ if QUIET.contains(&name.as_str()) => {
                Finding::ok(&self.title, "none: it writes nothing while all goes well")
            }
            _ => Finding::warn(
                &self.title,
                self.newest(),
                format!(
                    "does it run, and does Fluentd on its node? logq --source kubectl -c {name} shows what it writes"
                ),
            ),
        }
    }

    /// A component whose lines come, or came until a while ago.
    fn silence(&self, seen: &Seen) -> Finding {
        let name = &self.place.component;
        let newest = self.newest();
        let known = self.known(seen);
        let age = self.now - seen.stored;
        let all_came = self.written.is_some_and(|written| written.unread.is_none());
        if age <= SILENT_SECONDS || all_came {
            return Finding::ok(&self.title, format!("{newest}{known}"));
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
            Some(rhythm) if rhythm.is_known() => Finding::ok(
                &self.title,
                format!(
                    "{newest}; it has been silent for {} before, and lines of others come{known}",
                    seconds(rhythm.longest)
                ),
            ),
            _ => Finding::ok(
                &self.title,
                format!("{newest}; how often it writes is not known yet, and lines of others come{known}"),
            ),
        }
    }

    /// What else is known where all is well.
    fn known(&self, seen: &Seen) -> String {
        let delays = (!seen.late.is_empty()).then(|| delays(seen));
        let arrived = self
            .written
            .filter(|written| written.compared > 0)
            .map(|written| {
                let lines = counted(written.compared, "line");
                match &written.unread {
                    None => format!("all of {lines} have come"),
                    Some(why) => format!("all of {lines} have come, and others could not be read: {why}"),
                }
            });
        let work = (self.place.component == component::ANONYMIZER).then(|| {
            self.waiting
                .map_or("no photo waits".to_owned(), |waiting| waiting.described(self.now))
        });
        let parts = [delays, arrived, work];
        parts
            .into_iter()
            .flatten()
            .map(|part| format!("; {part}"))
            .collect()
    }
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
