//! What lines that came lately say of who uses what, and of a photo's traces.

use schema::{field, label};
use serde_json::{Map, Value, json};

use super::position::Position;
use crate::{
    filter::{Filter, push},
    opensearch::Result,
    plan::{Known, Wanted},
    source::opensearch::{MOST, Store},
};

/// What is read of the answer: the values, and whether it is whole.
const VALUES: &str = "aggregations,_shards,timed_out";

impl Store {
    /// What can be learnt from lines that may be new.
    pub(super) fn learn(&self, wanted: &Wanted, position: &Position) -> Result<Known> {
        let mut questions = Map::new();
        if !wanted.components.is_empty() {
            for used in wanted.uses.wanted() {
                let label = label::stored(used.label()).unwrap_or_else(|| used.label().to_owned());
                let place = format!("{}.{label}", field::KUBERNETES_LABELS);
                questions.insert(used.label().to_owned(), values(&wanted.named(), &place));
            }
        }
        if !wanted.photos.is_empty() {
            questions.insert(field::TRACE_ID.to_owned(), values(&wanted.way(), field::TRACE_ID));
        }
        let body = json!({
            "size": 0,
            "track_total_hits": false,
            "query": { "bool": { "filter": [position.query()] } },
            "aggs": questions,
        });
        let answer = self.search("learn from new lines", VALUES, &body)?;
        let mut known = Known::default();
        for name in questions.keys() {
            let found = answer
                .get("aggregations")
                .and_then(|all| all.get(name)?.get("values")?.get("buckets"));
            let found = found.and_then(Value::as_array).into_iter().flatten();
            let found = found.filter_map(|bucket| Some(bucket.get("key")?.as_str()?.to_owned()));
            if name == field::TRACE_ID {
                known.traces.extend(found);
            } else {
                known.used.extend(found);
            }
        }
        Ok(known)
    }
}

fn values(filter: &Filter, place: &str) -> Value {
    json!({
        "filter": push(filter).upper.into_dsl(),
        "aggs": { "values": { "terms": { "field": place, "size": MOST } } },
    })
}
