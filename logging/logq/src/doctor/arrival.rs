//! Whether each component's lines arrive, and how late: what OpenSearch says
//! of the last day.

use std::collections::{BTreeMap, BTreeSet};

use schema::{component, field, label, tag};
use serde_json::{Value, json};

use super::{
    cluster::SAME_SECONDS,
    finding::Finding,
    text::{counted, seconds},
};
use crate::{
    opensearch::{Client, Method, Result},
    source::opensearch::{Rhythm, streams},
};

/// A component that has been silent for longer may be cut off.
const SILENT_SECONDS: f64 = 300.0;
/// Half of the lines may be later than this at most; Fluentd needs 1 to 7 s.
const LATE_SECONDS: f64 = 10.0;
/// Half of the lines are later than this when something is broken.
const TOO_LATE_SECONDS: f64 = 60.0;
/// One line may be this late: after a Fluentd has been started again.
const WORST_SECONDS: f64 = 300.0;

/// More components or nodes than this are not told apart.
const MOST: usize = 1_000;

/// So many of a component's newest lines tell how late lines are now.
const NEWEST: usize = 20;

/// Components that write nothing while all goes well.
const QUIET: [&str; 1] = [component::OBJECT_STORE];

/// A component of one installation.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Its name.
    pub component: String,
    /// Its namespace; empty outside a cluster.
    pub namespace: String,
}

/// What was seen of one component.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// When its newest line was stored, seconds since 1970, by OpenSearch's clock.
    pub stored: f64,
    /// When its newest line was written, by its own clock.
    pub written: f64,
    /// How late each of its newest lines of the last 15 minutes was, seconds; not of those that were written before there was an OpenSearch.
    pub late: Vec<f64>,
    /// Where it is silent: when its lines came before.
    pub rhythm: Option<Rhythm>,
    /// Its lines of the last hour with a tag, by tag.
    pub tags: BTreeMap<String, u64>,
}

impl Seen {
    /// How late half of the newest lines were at most.
    fn median(&self) -> f64 {
        let mut late = self.late.clone();
        late.sort_by(f64::total_cmp);
        late.get(late.len() / 2).copied().unwrap_or(0.0)
    }

    /// How late the last of them was.
    fn worst(&self) -> f64 {
        self.late.iter().copied().fold(0.0, f64::max)
    }
}

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Day {
    /// Of each component.
    pub components: BTreeMap<Place, Seen>,
    /// How far the clock of each node is ahead at least, in seconds, as its
    /// lines of the last 15 minutes show: they were stored before they were written.
    pub ahead: BTreeMap<String, f64>,
    /// The components that our services say they use.
    pub used: BTreeSet<Place>,
}

/// The difference of two clocks, in milliseconds.
const LATENESS: &str = "doc['event.ingested'].value.toInstant().toEpochMilli() - doc['@timestamp'].value.toInstant().toEpochMilli()";

fn since(time: &str) -> Value {
    json!({ "range": { field::EVENT_INGESTED: { "gte": time } } })
}

/// By namespace, and by what another field says.
fn by_place(name: &str) -> Value {
    let namespace = json!({ "field": field::KUBERNETES_NAMESPACE, "missing": "" });
    json!({ "terms": [namespace, { "field": name }], "size": MOST })
}

fn question() -> Value {
    let used = |label: &str| {
        let label = label::stored(label).unwrap_or_default();
        json!({ "multi_terms": by_place(&format!("{}.{label}", field::KUBERNETES_LABELS)) })
    };
    let times = [field::EVENT_INGESTED, field::TIMESTAMP]
        .map(|name| json!({ "field": name, "format": "epoch_millis" }));
    json!({
        "size": 0,
        "track_total_hits": false,
        "query": { "bool": { "filter": [since("now-24h")] } },
        "aggs": {
            "first": { "min": { "field": field::EVENT_INGESTED } },
            "components": {
                "multi_terms": by_place(field::COMPONENT),
                "aggs": {
                    "stored": { "max": { "field": field::EVENT_INGESTED } },
                    "written": { "max": { "field": field::TIMESTAMP } },
                    "recent": {
                        "filter": since("now-15m"),
                        "aggs": { "newest": { "top_hits": {
                            "size": NEWEST,
                            "sort": [{ field::EVENT_INGESTED: "desc" }, { field::TIMESTAMP: "desc" }],
                            "_source": false,
                            "docvalue_fields": times,
                        } } },
                    },
                    "hour": {
                        "filter": since("now-1h"),
                        "aggs": { "tags": { "terms": { "field": field::TAGS, "size": MOST } } },
                    },
                },
            },
            "recent": {
                "filter": since("now-15m"),
                "aggs": { "nodes": {
                    "terms": { "field": field::KUBERNETES_NODE, "size": MOST, "missing": "" },
                    "aggs": { "least": { "min": { "script": { "source": LATENESS } } } },
                } },
            },
            "ours": {
                "filter": { "terms": { field::COMPONENT: [component::IRMGARD, component::ANONYMIZER] } },
                "aggs": {
                    "database": used(label::USES_DATABASE),
                    "queue": used(label::USES_QUEUE),
                    "store": used(label::USES_STORE),
                },
            },
        },
    })
}

/// Asks for all of it at once, and then how those that are silent were before.
pub async fn day(client: &Client, now: f64) -> Result<Day> {
    let path = format!("/{}/_search", streams());
    let query = [("ignore_unavailable", "true")];
    let what = "say which lines have come";
    let answer = client
        .ask(what, Method::Post, &path, &query, Some(&question()))
        .await?;
    let mut day = read(&answer);
    for (place, seen) in &mut day.components {
        let is_ours = component::ALL.contains(&place.component.as_str()) || day.used.contains(place);
        if is_ours && now - seen.stored > SILENT_SECONDS {
            let of = json!({ "term": { field::COMPONENT: place.component } });
            let namespace = if place.namespace.is_empty() {
                json!({ "bool": { "must_not": { "exists": { "field": field::KUBERNETES_NAMESPACE } } } })
            } else {
                json!({ "term": { field::KUBERNETES_NAMESPACE: place.namespace } })
            };
            let query = json!({ "bool": { "filter": [of, namespace] } });
            seen.rhythm = Rhythm::ask(client, query).await?.map(|(rhythm, _)| rhythm);
        }
    }
    Ok(day)
}

fn array<'a>(answer: &'a Value, path: &str) -> impl Iterator<Item = &'a Value> {
    answer
        .pointer(path)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn buckets<'a>(answer: &'a Value, path: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    array(answer, path).filter_map(|bucket| Some((bucket.get("key")?.as_str()?, bucket)))
}

fn places<'a>(answer: &'a Value, path: &str) -> impl Iterator<Item = (Place, &'a Value)> {
    array(answer, path).filter_map(|bucket| {
        let key = |number: usize| Some(bucket.get("key")?.get(number)?.as_str()?.to_owned());
        let place = Place {
            namespace: key(0)?,
            component: key(1)?,
        };
        Some((place, bucket))
    })
}

fn read(answer: &Value) -> Day {
    let mut day = Day::default();
    let millis = |value: &Value| value.as_f64().or_else(|| value.as_str()?.parse().ok());
    let seconds = |answer: &Value, path: &str| Some(millis(answer.pointer(path)?)? / 1_000.0);
    let first = seconds(answer, "/aggregations/first/value").unwrap_or(0.0);
    for (place, bucket) in places(answer, "/aggregations/components/buckets") {
        let late = array(bucket, "/recent/newest/hits/hits").filter_map(|hit| {
            let time = |name: &str| Some(millis(hit.get("fields")?.get(name)?.get(0)?)? / 1_000.0);
            let written = time(field::TIMESTAMP)?;
            // What was written before could not be stored sooner.
            (written >= first).then_some(time(field::EVENT_INGESTED)? - written)
        });
        let tags = buckets(bucket, "/hour/tags/buckets")
            .filter_map(|(tag, bucket)| Some((tag.to_owned(), bucket.get("doc_count")?.as_u64()?)));
        let seen = Seen {
            stored: seconds(bucket, "/stored/value").unwrap_or(0.0),
            written: seconds(bucket, "/written/value").unwrap_or(0.0),
            late: late.collect(),
            rhythm: None,
            tags: tags.collect(),
        };
        day.components.insert(place, seen);
    }
    for (node, bucket) in buckets(answer, "/aggregations/recent/nodes/buckets") {
        if let Some(least) = bucket.pointer("/least/value").and_then(Value::as_f64) {
            day.ahead.insert(node.to_owned(), -least / 1_000.0);
        }
    }
    for used in ["database", "queue", "store"] {
        let path = format!("/aggregations/ours/{used}/buckets");
        day.used.extend(places(answer, &path).map(|(place, _)| place));
    }
    day
}

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
