//! Photos that were accepted and have no result, according to irmgard's lines.

use schema::{component, field, outcome};
use serde_json::{Value, json};

use super::{
    super::format::{format_count, format_seconds},
    arrivals::{array, namespace_filter, since},
};
use crate::{
    opensearch::{Client, Method, Result},
    source::opensearch::streams,
};

/// Maximum number of photos, the newest of the day.
const MAX_BUCKETS: usize = 4_000;

/// A result's line may precede the request's line by this time, seconds.
const SLACK: f64 = 10.0;

/// The photos of one namespace that wait for a worker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PendingPhotos {
    pub count: u64,
    /// Older photos were not checked.
    pub is_partial: bool,
    /// When the oldest was accepted, seconds since 1970; None if no photo waits.
    pub since: Option<f64>,
}

impl PendingPhotos {
    pub fn description(&self, now: f64) -> String {
        let Some(since) = self.since else {
            return match self.is_partial {
                true => format!("none of the newest {MAX_BUCKETS} photos is waiting"),
                false => "no photo is waiting".to_owned(),
            };
        };
        let least = if self.is_partial { "at least " } else { "" };
        let photos = format_count(self.count, "photo");
        let verb = if self.count == 1 { "waits" } else { "wait" };
        let age = format_seconds((now - since).max(0.0));
        format!("{least}{photos} {verb}, the oldest for {age}")
    }
}

/// Fetches those of one namespace; empty means outside a cluster.
pub async fn fetch(client: &Client, namespace: &str) -> Result<PendingPhotos> {
    let path = format!("/{}/_search", streams());
    let query = [("ignore_unavailable", "true")];
    let what = "report the waiting photos";
    let answer = client
        .ask(what, Method::Post, &path, &query, Some(&request_body(namespace)))
        .await?;
    Ok(read(&answer))
}

fn request_body(namespace: &str) -> Value {
    let has_outcome = |names: &[&str]| json!({ "terms": { field::OUTCOME: names } });
    let method = json!({ "term": { field::HTTP_REQUEST_METHOD: "POST" } });
    let accepted = json!({ "bool": { "filter": [method, has_outcome(&outcome::ACCEPTED)] } });
    let verdict = has_outcome(&outcome::FINISHED);
    let newest = json!({ "max": { "field": field::TIMESTAMP } });
    let times = |filter: Value| {
        json!({ "filter": filter, "aggs": {
        "first": { "min": { "field": field::TIMESTAMP } },
        "last": newest,
    } })
    };
    json!({
        "size": 0,
        "track_total_hits": false,
        "query": { "bool": { "filter": [
            since("now-24h"),
            namespace_filter(namespace),
            { "exists": { "field": field::PHOTO_ID } },
            { "terms": { field::COMPONENT: [component::IRMGARD, component::ANONYMIZER] } },
            { "bool": { "should": [accepted, verdict], "minimum_should_match": 1 } },
        ] } },
        "aggs": { "photos": {
            "terms": { "field": field::PHOTO_ID, "size": MAX_BUCKETS, "order": { "newest": "desc" } },
            "aggs": {
                "newest": newest,
                "accepted": times(accepted),
                "again": times(has_outcome(&[outcome::REQUEUED])),
                "verdict": times(verdict),
            },
        } },
    })
}

fn read(answer: &Value) -> PendingPhotos {
    let since: Vec<f64> = array(answer, "/aggregations/photos/buckets")
        .filter_map(photo)
        .collect();
    let others = answer
        .pointer("/aggregations/photos/sum_other_doc_count")
        .and_then(Value::as_u64);
    PendingPhotos {
        count: since.len() as u64,
        is_partial: others.is_some_and(|others| others > 0),
        since: since.into_iter().reduce(f64::min),
    }
}

/// Since when a photo waits; None if it does not.
fn photo(bucket: &Value) -> Option<f64> {
    let time = |path: &str| Some(bucket.pointer(path)?.as_f64()? / 1_000.0);
    let accepted = time("/accepted/first/value")?;
    match (time("/verdict/last/value"), time("/again/last/value")) {
        (None, _) => Some(accepted),
        (Some(verdict), Some(again)) if again > verdict + SLACK => Some(again),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photo_waits_until_its_verdict() {
        let time = |seconds: Option<f64>| {
            let value = seconds.map(|seconds| seconds * 1_000.0);
            json!({ "first": { "value": value }, "last": { "value": value } })
        };
        for (accepted, verdict, again, since) in [
            (Some(100.0), None, None, Some(100.0)),
            (Some(100.0), Some(101.0), None, None),
            // The worker logged before the web service did.
            (Some(100.0), Some(99.9), None, None),
            (Some(100.0), Some(101.0), Some(200.0), Some(200.0)),
            (Some(100.0), Some(203.0), Some(200.0), None),
            // Only read, or accepted before today.
            (None, None, None, None),
        ] {
            let bucket =
                json!({ "accepted": time(accepted), "verdict": time(verdict), "again": time(again) });
            assert_eq!(photo(&bucket), since, "{bucket}");
        }
    }

    #[test]
    fn waiting_photos_are_described() {
        let waiting = |count, is_partial| PendingPhotos {
            count,
            is_partial,
            since: (count > 0).then_some(100.0),
        };
        assert_eq!(
            waiting(1, false).description(640.0),
            "1 photo waits, the oldest for 9 m"
        );
        assert_eq!(
            waiting(4_000, true).description(640.0),
            "at least 4000 photos wait, the oldest for 9 m"
        );
        assert_eq!(waiting(0, false).description(640.0), "no photo is waiting");
        assert_eq!(
            waiting(0, true).description(640.0),
            "none of the newest 4000 photos is waiting"
        );
    }
}
