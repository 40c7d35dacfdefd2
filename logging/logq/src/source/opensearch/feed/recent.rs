//! The requests of a round: ids of recent lines, then the lines.

use std::{collections::HashMap, time::Duration};

use log_normalizer::Document;
use schema::field;
use serde_json::{Value, json};

use super::cursor::{FeedCursor, Millis};
use crate::{
    entry::Entry,
    filter::{Filter, push_down},
    opensearch::{Error, Method, Result},
    source::opensearch::{OpenSearchSource, streams},
};

/// Ids per page; OpenSearch allows 10,000 (`index.max_result_window`).
const PAGE_SIZE: usize = 10_000;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// The fields of the response to return.
const HIT_FIELDS: &str = "hits.hits._id,hits.hits.sort,aggregations,_shards,timed_out";

/// The bucket whose start is OpenSearch's time.
const CLOCK_PATH: &str = "/aggregations/now/buckets/0/from";

/// A recent line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Its `_id`, equal to `event.id`.
    pub id: String,
    /// When it was ingested.
    pub taken: Millis,
}

/// Pages of recent lines, by ingestion time.
pub struct RecentPages {
    body: Value,
    now: Option<Millis>,
    ended: bool,
}

impl RecentPages {
    /// The next page. It may lack lines that are not searchable yet; a later round finds them.
    ///
    /// # Errors
    /// Every error of [`crate::opensearch::Client::ask`].
    pub fn next(&mut self, store: &OpenSearchSource) -> Result<Option<Vec<Hit>>> {
        if self.ended {
            return Ok(None);
        }
        let what = "list new lines";
        let mut answer = store.search(what, HIT_FIELDS, &self.body)?;
        if self.now.is_none() {
            self.now = answer
                .pointer(CLOCK_PATH)
                .and_then(Value::as_f64)
                .map(|now| now as Millis);
        }
        let hits = match answer.pointer_mut("/hits/hits").map(Value::take) {
            Some(Value::Array(hits)) => hits,
            // OpenSearch omits an empty list.
            None => Vec::new(),
            Some(_) => return Err(store.client.unexpected(what, "the response has no hits")),
        };
        self.ended = hits.len() < PAGE_SIZE;
        let mut page = Vec::with_capacity(hits.len());
        for mut hit in hits {
            self.body["search_after"] = hit.get_mut("sort").map(Value::take).unwrap_or_default();
            let taken = self.body.pointer("/search_after/0").and_then(Value::as_i64);
            let (Some(Value::String(id)), Some(taken)) = (hit.get_mut("_id").map(Value::take), taken) else {
                return Err(store.client.unexpected(what, "a line has no id or no time"));
            };
            page.push(Hit { id, taken });
        }
        Ok(Some(page))
    }

    /// OpenSearch's time at the first request; None without a stream.
    #[must_use]
    pub const fn now(&self) -> Option<Millis> {
        self.now
    }
}

impl OpenSearchSource {
    /// Lines of a filter that may be new.
    #[must_use]
    pub(super) fn recent_pages(&self, filter: &Filter, cursor: &FeedCursor) -> RecentPages {
        self.taken_since(filter, cursor.query())
    }

    fn taken_since(&self, filter: &Filter, since: Value) -> RecentPages {
        let body = json!({
            "size": PAGE_SIZE,
            "_source": false,
            "sort": [{ field::EVENT_INGESTED: "asc" }, { field::EVENT_ID: "asc" }],
            "track_total_hits": false,
            "query": { "bool": { "filter": [since, push_down(filter).upper.into_dsl()] } },
            // No response contains OpenSearch's time otherwise.
            "aggs": { "now": { "date_range": {
                "field": field::EVENT_INGESTED, "ranges": [{ "from": "now" }],
            } } },
        });
        RecentPages {
            body,
            now: None,
            ended: false,
        }
    }

    /// Marks existing lines as delivered.
    pub(super) fn prime(&self, filter: &Filter, cursor: &mut FeedCursor) -> Result<()> {
        // As far back as any round looks.
        let far = format!("now-{}s", super::MAX_DELAY.as_secs());
        let mut recent_pages = self.taken_since(
            filter,
            json!({ "range": { field::EVENT_INGESTED: { "gte": far } } }),
        );
        while let Some(page) = recent_pages.next(self)? {
            for hit in page {
                cursor.mark(hit.id, hit.taken);
            }
        }
        cursor.advance(recent_pages.now());
        Ok(())
    }

    /// Fetches lines in the given order, in smaller batches if they are too large. Omits lines that are deleted or not
    /// yet searchable on this replica.
    pub(super) fn fetch(&self, hits: &[&Hit], cursor: &FeedCursor) -> Result<Vec<((String, Millis), Entry)>> {
        let what = "return new lines";
        let ids: Vec<&str> = hits.iter().map(|hit| hit.id.as_str()).collect();
        let body = json!({
            // A line that was repeated after a rollover exists twice.
            "size": 2 * ids.len(),
            "track_total_hits": false,
            "query": { "bool": { "filter": [cursor.query(), { "ids": { "values": ids } }] } },
        });
        let filter = "hits.hits._id,hits.hits._source,_shards,timed_out";
        let mut answer = match self.search(what, filter, &body) {
            Err(error) if error.is_too_large() && hits.len() > 1 => {
                let (some, others) = hits.split_at(hits.len() / 2);
                let mut lines = self.fetch(some, cursor)?;
                lines.extend(self.fetch(others, cursor)?);
                return Ok(lines);
            }
            answer => answer?,
        };
        let found = match answer.pointer_mut("/hits/hits").map(Value::take) {
            Some(Value::Array(found)) => found,
            _ => Vec::new(),
        };
        let mut by_id = HashMap::with_capacity(found.len());
        for mut hit in found {
            let source = hit.get_mut("_source").map(Value::take).unwrap_or_default();
            let document = Document::try_from(source)
                .map_err(|error| self.client.unexpected(what, &error.to_string()))?;
            if let Some(Value::String(id)) = hit.get_mut("_id").map(Value::take) {
                by_id.insert(id, document);
            }
        }
        let lines = hits.iter().filter_map(|hit| {
            let document = by_id.remove(&hit.id)?;
            Some(((hit.id.clone(), hit.taken), Entry { document, raw: None }))
        });
        Ok(lines.collect())
    }

    /// Searches all streams, always on the same replicas: another replica may lag behind.
    pub(super) fn search(&self, what: &str, filter_path: &str, body: &Value) -> Result<Value> {
        let path = format!("/{}/_search", streams());
        let session = format!("logq-{}", std::process::id());
        let query = [
            ("ignore_unavailable", "true"),
            ("filter_path", filter_path),
            ("preference", session.as_str()),
        ];
        let request = self.client.ask(what, Method::Post, &path, &query, Some(body));
        self.runtime.block_on(async {
            match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
                Ok(answer) => answer,
                Err(_) => Err(Error::Interrupted {
                    url: self.client.url().to_owned(),
                    what: what.to_owned(),
                    reason: format!("it did not answer within {REQUEST_TIMEOUT:?}"),
                }),
            }
        })
    }
}
