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
    source::opensearch::streams,
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

/// What was seen of one component.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// When its newest line was stored, seconds since 1970, by OpenSearch's clock.
    pub stored: f64,
    /// When its newest line was written, by its own clock.
    pub written: f64,
    /// Lines that were stored in the last 15 minutes.
    pub lines: u64,
    /// How late half of them were at most, in seconds.
    pub median: f64,
    /// How late the last of them was.
    pub worst: f64,
    /// Its lines of the last hour with a tag, by tag.
    pub tags: BTreeMap<String, u64>,
}

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Day {
    /// By component.
    pub components: BTreeMap<String, Seen>,
    /// How far the clock of each node is ahead at least, in seconds, as its
    /// lines of the last 15 minutes show: they were stored before they were written.
    pub ahead: BTreeMap<String, f64>,
    /// The components that our services say they use.
    pub used: BTreeSet<String>,
}

/// The difference of two clocks, in milliseconds.
const LATENESS: &str = "doc['event.ingested'].value.toInstant().toEpochMilli() - doc['@timestamp'].value.toInstant().toEpochMilli()";

fn question() -> Value {
    let since = |time: &str| json!({ "range": { field::EVENT_INGESTED: { "gte": time } } });
    let script = json!({ "source": LATENESS });
    let used = |label: &str| {
        let label = label::stored(label).unwrap_or_default();
        json!({ "terms": { "field": format!("{}.{label}", field::KUBERNETES_LABELS), "size": MOST } })
    };
    json!({
        "size": 0,
        "track_total_hits": false,
        "query": { "bool": { "filter": [since("now-24h")] } },
        "aggs": {
            "components": {
                "terms": { "field": field::COMPONENT, "size": MOST },
                "aggs": {
                    "stored": { "max": { "field": field::EVENT_INGESTED } },
                    "written": { "max": { "field": field::TIMESTAMP } },
                    "recent": {
                        "filter": since("now-15m"),
                        "aggs": {
                            "middle": { "percentiles": { "script": script, "percents": [50] } },
                            "worst": { "max": { "script": script } },
                        },
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
                    "aggs": { "least": { "min": { "script": script } } },
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

/// Asks for all of it at once.
pub async fn day(client: &Client) -> Result<Day> {
    let path = format!("/{}/_search", streams());
    let query = [("ignore_unavailable", "true")];
    let answer = client
        .ask(
            "say which lines have come",
            Method::Post,
            &path,
            &query,
            Some(&question()),
        )
        .await?;
    Ok(read(&answer))
}

fn buckets<'a>(answer: &'a Value, path: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    answer
        .pointer(path)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|bucket| Some((bucket.get("key")?.as_str()?, bucket)))
}

fn read(answer: &Value) -> Day {
    let mut day = Day::default();
    for (name, bucket) in buckets(answer, "/aggregations/components/buckets") {
        let number = |path: &str| bucket.pointer(path).and_then(Value::as_f64).unwrap_or(0.0);
        let count = |path: &str| bucket.pointer(path).and_then(Value::as_u64).unwrap_or(0);
        let tags = buckets(bucket, "/hour/tags/buckets")
            .filter_map(|(tag, bucket)| Some((tag.to_owned(), bucket.get("doc_count")?.as_u64()?)));
        let seen = Seen {
            stored: number("/stored/value") / 1_000.0,
            written: number("/written/value") / 1_000.0,
            lines: count("/recent/doc_count"),
            median: number("/recent/middle/values/50.0") / 1_000.0,
            worst: number("/recent/worst/value") / 1_000.0,
            tags: tags.collect(),
        };
        day.components.insert(name.to_owned(), seen);
    }
    for (node, bucket) in buckets(answer, "/aggregations/recent/nodes/buckets") {
        if let Some(least) = bucket.pointer("/least/value").and_then(Value::as_f64) {
            day.ahead.insert(node.to_owned(), -least / 1_000.0);
        }
    }
    for used in ["database", "queue", "store"] {
        let path = format!("/aggregations/ours/{used}/buckets");
        day.used
            .extend(buckets(answer, &path).map(|(name, _)| name.to_owned()));
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
pub fn judge(day: &Day, pods: Option<&BTreeMap<String, Pods>>, now: f64) -> Vec<Finding> {
    let mut expected: BTreeSet<&str> = match pods {
        Some(pods) => pods.keys().map(String::as_str).collect(),
        None => [component::IRMGARD, component::ANONYMIZER].into(),
    };
    if pods.is_none() {
        expected.extend(day.used.iter().map(String::as_str));
    }
    let mut findings = Vec::new();
    for name in &expected {
        let of_pods = pods.and_then(|pods| pods.get(*name));
        findings.push(one(name, day.components.get(*name), of_pods, now));
    }
    let mut others = Vec::new();
    for (name, seen) in &day.components {
        if expected.contains(name.as_str()) {
            continue;
        }
        match lateness(name, seen) {
            Some(finding) => findings.push(finding),
            None => others.push(name.as_str()),
        }
    }
    if !others.is_empty() {
        findings.push(Finding::ok("lines of others", others.join(", ")));
    }
    findings
}

fn title(component: &str) -> String {
    format!("lines of {component}")
}

fn one(name: &str, seen: Option<&Seen>, pods: Option<&Pods>, now: f64) -> Finding {
    if let Some((written, pod)) = pods.and_then(|pods| pods.newest.as_ref()) {
        let arrived = seen.map_or(0.0, |seen| seen.written.max(seen.stored));
        // What has just been written is still on its way.
        if now - written > TOO_LATE_SECONDS && written - arrived > SAME_SECONDS {
            let newest = seen.map_or_else(
                || "none has come in 24 h".to_owned(),
                |seen| format!("the newest that has come is {} old", seconds(now - seen.written)),
            );
            return Finding::fail(
                title(name),
                format!("{pod} wrote a line {} ago, and {newest}", seconds(now - written)),
                "look at the lines of Fluentd on that pod's node: kubectl logs -l app.kubernetes.io/name=fluentd",
            );
        }
    }
    let well = pods.is_some_and(|pods| pods.asked);
    let Some(seen) = seen else {
        if well {
            return Finding::ok(title(name), "its pods have written none that is missing");
        }
        return Finding::warn(
            title(name),
            "none has come in 24 h",
            format!(
                "does it run, and does Fluentd on its node? logq --source kubectl -c {name} shows what it writes"
            ),
        );
    };
    if let Some(finding) = lateness(name, seen) {
        return finding;
    }
    let silent = now - seen.stored;
    let newest = format!("the newest {} ago", seconds(silent.max(0.0)));
    if silent > SILENT_SECONDS && !well {
        return Finding::warn(
            title(name),
            format!("{newest}: it has nothing to say, or its lines do not come"),
            format!("compare with what it writes: logq --source kubectl -c {name} --tail 1"),
        );
    }
    Finding::ok(title(name), described(&newest, seen))
}

fn described(newest: &str, seen: &Seen) -> String {
    if seen.lines == 0 {
        return newest.to_owned();
    }
    format!(
        "{newest}; {} in 15 m, {} late in the middle, {} at worst",
        counted(seen.lines, "line"),
        seconds(seen.median.max(0.0)),
        seconds(seen.worst.max(0.0))
    )
}

/// What is wrong with the time that lines take.
fn lateness(name: &str, seen: &Seen) -> Option<Finding> {
    let detail = || {
        format!(
            "{} late in the middle, {} at worst, of {} in 15 m",
            seconds(seen.median.max(0.0)),
            seconds(seen.worst.max(0.0)),
            counted(seen.lines, "line")
        )
    };
    let remedy = "is OpenSearch slow, Fluentd's buffer full, or was a Fluentd away? (A `logq import` of old lines counts too; so \
                  does a clock that is behind.)";
    if seen.lines == 0 {
        None
    } else if seen.median > TOO_LATE_SECONDS {
        Some(Finding::fail(title(name), detail(), remedy))
    } else if seen.median > LATE_SECONDS || seen.worst > WORST_SECONDS {
        Some(Finding::warn(title(name), detail(), remedy))
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
    for (name, seen) in &day.components {
        for (tag, count) in &seen.tags {
            if known.contains(&tag.as_str()) {
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
