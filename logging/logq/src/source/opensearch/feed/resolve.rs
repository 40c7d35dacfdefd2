//! Resolves the context from recent lines.

use schema::{field, label};
use serde_json::{Map, Value, json};

use super::cursor::FeedCursor;
use crate::{
    filter::{Filter, push_down},
    opensearch::Result,
    query::{Query, ResolvedContext},
    source::opensearch::{MAX_VALUES, OpenSearchSource},
};

/// The fields of the response to return.
const ANSWER_FIELDS: &str = "aggregations,_shards,timed_out";

impl OpenSearchSource {
    /// The knowledge in lines that may be new.
    pub(super) fn resolve_recent(&self, query: &Query, cursor: &FeedCursor) -> Result<ResolvedContext> {
        let mut questions = Map::new();
        if !query.components.is_empty() {
            for used in query.dependencies.requested() {
                let label = label::stored(used.label()).unwrap_or_else(|| used.label().to_owned());
                let field_path = format!("{}.{label}", field::KUBERNETES_LABELS);
                questions.insert(
                    used.label().to_owned(),
                    values(&query.component_filter(), &field_path),
                );
            }
        }
        if !query.photos.is_empty() {
            questions.insert(
                field::TRACE_ID.to_owned(),
                values(&query.photo_journey(), field::TRACE_ID),
            );
        }
        let body = json!({
            "size": 0,
            "track_total_hits": false,
            "query": { "bool": { "filter": [cursor.query()] } },
            "aggs": questions,
        });
        let answer = self.search("resolve dependencies from new lines", ANSWER_FIELDS, &body)?;
        let mut context = ResolvedContext::default();
        for name in questions.keys() {
            let found = answer
                .get("aggregations")
                .and_then(|all| all.get(name)?.get("values")?.get("buckets"));
            let found = found.and_then(Value::as_array).into_iter().flatten();
            let found = found.filter_map(|bucket| Some(bucket.get("key")?.as_str()?.to_owned()));
            if name == field::TRACE_ID {
                context.traces.extend(found);
            } else {
                context.dependencies.extend(found);
            }
        }
        Ok(context)
    }
}

fn values(filter: &Filter, field_path: &str) -> Value {
    json!({
        "filter": push_down(filter).upper.into_dsl(),
        "aggs": { "values": { "terms": { "field": field_path, "size": MAX_VALUES } } },
    })
}
