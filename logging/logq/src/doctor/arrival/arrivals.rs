//! Fetches statistics about the lines that arrived in the last day.

use std::collections::{BTreeMap, BTreeSet};

use schema::{component, field, label};
use serde_json::{Value, json};

use super::{PendingPhotos, pending_photos};
use crate::{
    opensearch::{Client, Method, Result},
    source::opensearch::streams,
};

/// Limit for components and nodes.
const MAX_BUCKETS: usize = 1_000;

/// Number of the newest lines of a component that measure the delay.
const MAX_NEWEST_LINES: usize = 20;

/// A component in a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ComponentKey {
    pub component: String,
    /// Empty outside a cluster.
    pub namespace: String,
}

/// What OpenSearch has of one component.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ArrivalStats {
    /// When its newest line was stored, seconds since 1970 by OpenSearch's clock.
    pub stored: f64,
    /// When its newest line was written, by its own clock.
    pub written: f64,
    /// Delays of its newest lines of the last 15 minutes, seconds. Omits lines that are older than the OpenSearch data.
    pub late: Vec<f64>,
    /// Number of its lines of the last hour by tag.
    pub tags: BTreeMap<String, u64>,
}

impl ArrivalStats {
    /// The median delay.
    pub(super) fn median(&self) -> f64 {
        let mut late = self.late.clone();
        late.sort_by(f64::total_cmp);
        late.get(late.len() / 2).copied().unwrap_or(0.0)
    }

    /// The maximum delay.
    pub(super) fn worst(&self) -> f64 {
        self.late.iter().copied().fold(0.0, f64::max)
    }
}

/// All statistics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arrivals {
    pub components: BTreeMap<ComponentKey, ArrivalStats>,
    /// How far the clock of each node is ahead, seconds: its lines of the last 15 minutes were stored before they were
    /// written. A lower bound.
    pub ahead: BTreeMap<String, f64>,
    /// The dependencies that our services name in their labels.
    pub used: BTreeSet<ComponentKey>,
    /// Photos that wait for a worker, by namespace.
    pub pending: BTreeMap<String, PendingPhotos>,
}

/// The delay of a line in milliseconds.
const LATENESS_SCRIPT: &str = "doc['event.ingested'].value.toInstant().toEpochMilli() - \
    doc['@timestamp'].value.toInstant().toEpochMilli()";

pub(super) fn since(time: &str) -> Value {
    json!({ "range": { field::EVENT_INGESTED: { "gte": time } } })
}

/// Lines of this namespace; if it is empty, lines without a namespace.
pub(super) fn namespace_filter(namespace: &str) -> Value {
    if namespace.is_empty() {
        json!({ "bool": { "must_not": { "exists": { "field": field::KUBERNETES_NAMESPACE } } } })
    } else {
        json!({ "term": { field::KUBERNETES_NAMESPACE: namespace } })
    }
}

/// Aggregation keys: namespace and another field.
fn by_component(name: &str) -> Value {
    let namespace = json!({ "field": field::KUBERNETES_NAMESPACE, "missing": "" });
    json!({ "terms": [namespace, { "field": name }], "size": MAX_BUCKETS })
}

fn request_body() -> Value {
    let used = |label: &str| {
        let label = label::stored(label).unwrap_or_default();
        json!({ "multi_terms": by_component(&format!("{}.{label}", field::KUBERNETES_LABELS)) })
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
                "multi_terms": by_component(field::COMPONENT),
                "aggs": {
                    "stored": { "max": { "field": field::EVENT_INGESTED } },
                    "written": { "max": { "field": field::TIMESTAMP } },
                    "recent": {
                        "filter": since("now-15m"),
                        "aggs": { "newest": { "top_hits": {
                            "size": MAX_NEWEST_LINES,
                            "sort": [{ field::EVENT_INGESTED: "desc" }, { field::TIMESTAMP: "desc" }],
                            "_source": false,
                            "docvalue_fields": times,
                        } } },
                    },
                    "hour": {
                        "filter": since("now-1h"),
                        "aggs": { "tags": { "terms": { "field": field::TAGS, "size": MAX_BUCKETS } } },
                    },
                },
            },
            "recent": {
                "filter": since("now-15m"),
                "aggs": { "nodes": {
                    "terms": { "field": field::KUBERNETES_NODE, "size": MAX_BUCKETS, "missing": "" },
                    "aggs": { "least": { "min": { "script": { "source": LATENESS_SCRIPT } } } },
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

/// Fetches the statistics, then the photos that wait.
pub async fn fetch(client: &Client) -> Result<Arrivals> {
    let path = format!("/{}/_search", streams());
    let query = [("ignore_unavailable", "true")];
    let what = "report which lines arrived";
    let answer = client
        .ask(what, Method::Post, &path, &query, Some(&request_body()))
        .await?;
    let mut arrivals = read(&answer);
    let namespaces: BTreeSet<String> = arrivals
        .components
        .keys()
        .filter(|key| key.component == component::IRMGARD)
        .map(|key| key.namespace.clone())
        .collect();
    for namespace in namespaces {
        let photos = pending_photos::fetch(client, &namespace).await?;
        arrivals.pending.insert(namespace, photos);
    }
    Ok(arrivals)
}

pub(super) fn array<'a>(answer: &'a Value, path: &str) -> impl Iterator<Item = &'a Value> {
    answer
        .pointer(path)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

pub(super) fn buckets<'a>(answer: &'a Value, path: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    array(answer, path).filter_map(|bucket| Some((bucket.get("key")?.as_str()?, bucket)))
}

fn component_buckets<'a>(answer: &'a Value, path: &str) -> impl Iterator<Item = (ComponentKey, &'a Value)> {
    array(answer, path).filter_map(|bucket| {
        let part = |number: usize| Some(bucket.get("key")?.get(number)?.as_str()?.to_owned());
        let key = ComponentKey {
            namespace: part(0)?,
            component: part(1)?,
        };
        Some((key, bucket))
    })
}

pub(super) fn read(answer: &Value) -> Arrivals {
    let mut arrivals = Arrivals::default();
    let millis = |value: &Value| value.as_f64().or_else(|| value.as_str()?.parse().ok());
    let seconds = |answer: &Value, path: &str| Some(millis(answer.pointer(path)?)? / 1_000.0);
    let first = seconds(answer, "/aggregations/first/value").unwrap_or(0.0);
    for (key, bucket) in component_buckets(answer, "/aggregations/components/buckets") {
        let late = array(bucket, "/recent/newest/hits/hits").filter_map(|hit| {
            let time = |name: &str| Some(millis(hit.get("fields")?.get(name)?.get(0)?)? / 1_000.0);
            let written = time(field::TIMESTAMP)?;
            // OpenSearch did not exist when older lines were written.
            (written >= first).then_some(time(field::EVENT_INGESTED)? - written)
        });
        let tags = buckets(bucket, "/hour/tags/buckets")
            .filter_map(|(tag, bucket)| Some((tag.to_owned(), bucket.get("doc_count")?.as_u64()?)));
        let stats = ArrivalStats {
            stored: seconds(bucket, "/stored/value").unwrap_or(0.0),
            written: seconds(bucket, "/written/value").unwrap_or(0.0),
            late: late.collect(),
            tags: tags.collect(),
        };
        arrivals.components.insert(key, stats);
    }
    for (node, bucket) in buckets(answer, "/aggregations/recent/nodes/buckets") {
        if let Some(least) = bucket.pointer("/least/value").and_then(Value::as_f64) {
            arrivals.ahead.insert(node.to_owned(), -least / 1_000.0);
        }
    }
    for used in ["database", "queue", "store"] {
        let path = format!("/aggregations/ours/{used}/buckets");
        arrivals
            .used
            .extend(component_buckets(answer, &path).map(|(key, _)| key));
    }
    arrivals
}
