//! Builds search requests from saved objects as Dashboards does, for the features that this repository's objects use: Lucene
//! queries without filters, terms, filters, date histograms, simple metrics. The source of OpenSearch Dashboards defines them:
//! `src/plugins/data/common/opensearch_query` (queries), `…/data/common/search/aggs` (aggregations), `…/input_control_vis`
//! (choices).

use serde_json::{Map, Value, json};

/// The time range in Dashboards.
pub const FROM: &str = "2026-11-22T10:00:00.000Z";
pub const TO: &str = "2026-11-22T10:01:00.000Z";
/// The interval of `auto` for a minute.
const INTERVAL: &str = "1s";

pub fn inner(value: &Value) -> Value {
    serde_json::from_str(value.as_str().unwrap()).unwrap()
}

/// A query in Lucene's syntax. An empty query matches all lines.
fn lucene(query: &Value) -> Value {
    assert_eq!(query["language"], "lucene", "{query}");
    match query["query"].as_str().unwrap().trim() {
        "" => json!({ "match_all": {} }),
        text => json!({ "query_string": { "query": text, "analyze_wildcard": true, "time_zone": "UTC" } }),
    }
}

/// The object's query, the queries around it, and the time range.
fn query(object: &Value, around: &[&str]) -> Value {
    let searched = inner(&object["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"]);
    assert_eq!(searched["filter"], json!([]), "filters are not translated");
    let around = around
        .iter()
        .map(|text| json!({ "query": text, "language": "lucene" }));
    let must: Vec<Value> = [searched["query"].clone()]
        .into_iter()
        .chain(around)
        .map(|query| lucene(&query))
        .collect();
    let time = json!({ "range": { "@timestamp": { "gte": FROM, "lte": TO, "format": "strict_date_optional_time" } } });
    json!({ "bool": { "must": must, "filter": [time], "should": [], "must_not": [] } })
}

/// The request of a saved search.
pub fn search_request(search: &Value, around: &[&str]) -> Value {
    let sort: Vec<Value> = search["attributes"]["sort"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sort| json!({ sort[0].as_str().unwrap(): { "order": sort[1], "unmapped_type": "boolean" } }))
        .collect();
    json!({
        "size": 500, "version": true, "sort": sort, "query": query(search, around),
        "stored_fields": ["*"], "script_fields": {}, "_source": { "excludes": [] },
        "docvalue_fields": [
            { "field": "@timestamp", "format": "date_time" }, { "field": "event.ingested", "format": "date_time" },
        ],
        "highlight": {
            "pre_tags": ["<b>"], "post_tags": ["</b>"], "fields": { "*": {} }, "fragment_size": 2_147_483_647,
        },
    })
}

/// The request of a chart. `None` for a chart without data.
pub fn chart_request(chart: &Value, around: &[&str]) -> Option<Value> {
    let state = inner(&chart["attributes"]["visState"]);
    let aggs = state["aggs"].as_array().unwrap();
    if aggs.is_empty() {
        return None;
    }
    let (metrics, buckets): (Vec<&Value>, Vec<&Value>) =
        aggs.iter().partition(|agg| agg["schema"] == "metric");
    let body = json!({ "size": 0, "query": query(chart, around), "aggs": nested(&buckets, &metrics) });
    Some(body)
}

/// Nested buckets. The innermost contains the metrics, and so does each bucket that is ordered by one.
fn nested(buckets: &[&Value], metrics: &[&Value]) -> Value {
    let Some((bucket, rest)) = buckets.split_first() else {
        return metrics
            .iter()
            .filter_map(|metric| metric_aggregation(metric))
            .collect::<Map<_, _>>()
            .into();
    };
    let mut inside = nested(rest, metrics);
    let (kind, params) = (bucket["type"].as_str().unwrap(), &bucket["params"]);
    let asked = match kind {
        "date_histogram" => {
            assert_eq!(params["interval"], "auto", "{params}");
            json!({
                "field": params["field"], "fixed_interval": INTERVAL, "time_zone": "UTC",
                "min_doc_count": params["min_doc_count"],
            })
        }
        "filters" => {
            let filters = params["filters"].as_array().unwrap().iter();
            let filters: Map<_, _> = filters
                .map(|filter| {
                    let query = json!({ "bool": { "must": [lucene(&filter["input"])], "filter": [], "should": [], "must_not": [] } });
                    (filter["label"].as_str().unwrap().to_owned(), query)
                })
                .collect();
            json!({ "filters": filters })
        }
        "terms" => {
            let by = params["orderBy"].as_str().unwrap();
            let metric = metrics.iter().find(|metric| metric["id"] == by).unwrap();
            let order = match metric_aggregation(metric) {
                None => "_count",
                Some((id, metric)) => {
                    inside[&id] = metric;
                    by
                }
            };
            assert_eq!(
                [&params["otherBucket"], &params["missingBucket"]],
                [false, false],
                "{params}"
            );
            json!({ "field": params["field"], "size": params["size"], "order": { order: params["order"] } })
        }
        other => panic!("{other} is not translated"),
    };
    let id = bucket["id"].as_str().unwrap();
    json!({ id: { kind: asked, "aggs": inside } })
}

/// The aggregation of a metric. `None` for a count, which every bucket has.
fn metric_aggregation(metric: &Value) -> Option<(String, Value)> {
    let kind = metric["type"].as_str().unwrap();
    (kind != "count").then(|| {
        let asked = json!({ kind: { "field": metric["params"]["field"] } });
        (metric["id"].as_str().unwrap().to_owned(), asked)
    })
}

/// The requests for the lists of choices of a chart.
pub fn choice_requests(chart: &Value) -> Vec<Value> {
    let state = inner(&chart["attributes"]["visState"]);
    let controls = state["params"]["controls"].as_array().into_iter().flatten();
    controls
        .map(|control| {
            assert_eq!(
                control["options"]["dynamicOptions"], true,
                "sizes are not translated"
            );
            let terms = json!({ "terms": { "field": control["fieldName"], "order": { "_count": "desc" } } });
            json!({ "size": 0, "query": query(chart, &[]), "aggs": { "termsAgg": terms } })
        })
        .collect()
}

/// The rows of a chart, each as `key, … | number, …`. Time buckets are summed, so their width does not matter.
pub fn rows(chart: &Value, answer: &Value) -> Vec<String> {
    let state = inner(&chart["attributes"]["visState"]);
    let aggs = state["aggs"].as_array().unwrap();
    let (metrics, buckets): (Vec<&Value>, Vec<&Value>) =
        aggs.iter().partition(|agg| agg["schema"] == "metric");
    let mut whole = answer["aggregations"].clone();
    whole["doc_count"] = answer["hits"]["total"]["value"].clone();
    let mut found: Vec<(Vec<String>, Vec<f64>)> = Vec::new();
    collect(&whole, &buckets, &metrics, &mut Vec::new(), &mut found);
    found
        .into_iter()
        .map(|(keys, numbers)| {
            let numbers: Vec<String> = numbers.iter().map(f64::to_string).collect();
            format!("{} | {}", keys.join(", "), numbers.join(", "))
        })
        .collect()
}

fn collect(
    bucket: &Value,
    buckets: &[&Value],
    metrics: &[&Value],
    keys: &mut Vec<String>,
    found: &mut Vec<(Vec<String>, Vec<f64>)>,
) {
    let Some((agg, rest)) = buckets.split_first() else {
        let number = |metric: &&Value| match metric_aggregation(metric) {
            None => bucket["doc_count"].as_f64().unwrap(),
            Some((id, _)) => bucket[&id]["value"].as_f64().unwrap_or(f64::NAN),
        };
        let numbers: Vec<f64> = metrics.iter().map(number).collect();
        match found.iter_mut().find(|(known, _)| known == keys) {
            Some((_, sum)) => sum
                .iter_mut()
                .zip(numbers)
                .for_each(|(sum, number)| *sum += number),
            None => found.push((keys.clone(), numbers)),
        }
        return;
    };
    let timed = agg["type"] == "date_histogram";
    let inner = &bucket[agg["id"].as_str().unwrap()]["buckets"];
    let named: Vec<(String, &Value)> = match inner {
        Value::Object(named) => named
            .iter()
            .map(|(name, bucket)| (name.clone(), bucket))
            .collect(),
        Value::Array(all) => all
            .iter()
            .map(|bucket| {
                (
                    bucket["key"]
                        .as_str()
                        .map_or_else(|| bucket["key"].to_string(), str::to_owned),
                    bucket,
                )
            })
            .collect(),
        _ => panic!("no buckets: {inner}"),
    };
    for (name, bucket) in named {
        if !timed {
            keys.push(name);
        }
        collect(bucket, rest, metrics, keys, found);
        if !timed {
            keys.pop();
        }
    }
}
