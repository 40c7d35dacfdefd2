//! The questions of a round: which lines were taken lately, and those lines.

use std::{collections::HashMap, time::Duration};

use line::Document;
use schema::field;
use serde_json::{Value, json};

use super::cursor::{FeedCursor, Millis};
use crate::{
    filter::{Filter, push_down},
    opensearch::{Error, Method, Result},
    source::{
        Entry,
        opensearch::{OpenSearchSource, streams},
    },
};

/// Ids of one page; OpenSearch gives 10,000 at most (`index.max_result_window`).
const PAGE_SIZE: usize = 10_000;

/// An answer that takes longer is not waited for: the questions are small.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Of an answer only what is read.
const HIT_FIELDS: &str = "hits.hits._id,hits.hits.sort,aggregations,_shards,timed_out";

/// The bucket whose beginning is OpenSearch's time.
const CLOCK_PATH: &str = "/aggregations/now/buckets/0/from";

/// A line that was taken lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Its `_id`, which is its `event.id`.
    pub id: String,
    /// When it was taken.
    pub taken: Millis,
}

/// Pages of lines that were taken lately, in the order in which they were.
pub struct RecentPages {
    body: Value,
    now: Option<Millis>,
    ended: bool,
}

impl RecentPages {
    /// The next page. A line that can be found only later may be missing in
    /// it; the next round finds it.
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
            // Left out of the answer when there are none.
            None => Vec::new(),
            Some(_) => return Err(store.client.unexpected(what, "its answer has no hits")),
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

    /// OpenSearch's time when it was asked for the first page; none where it
    /// has no stream.
    #[must_use]
    pub const fn now(&self) -> Option<Millis> {
        self.now
    }
}

impl OpenSearchSource {
    /// The lines of a filter that may be new, and perhaps others.
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
            // Its clock, which no answer says otherwise.
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

    /// Marks what can be found already.
    pub(super) fn prime(&self, filter: &Filter, cursor: &mut FeedCursor) -> Result<()> {
        // As far back as any round will see it.
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

    /// These lines, in this order, fewer at a time where they are too long. One that is gone, or that the copy of the
    /// shard that answers has not found yet, is missing.
    pub(super) fn fetch(&self, hits: &[&Hit], cursor: &FeedCursor) -> Result<Vec<((String, Millis), Entry)>> {
        let what = "give new lines";
        let ids: Vec<&str> = hits.iter().map(|hit| hit.id.as_str()).collect();
        let body = json!({
            // A line that was sent again after a rollover is there twice.
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

    /// Asks all streams, and the same copies of their shards each time: one
    /// that is behind the other would hide what the other has shown.
    pub(super) fn search(&self, what: &str, filter_path: &str, body: &Value) -> Result<Value> {
        let path = format!("/{}/_search", streams());
        let session = format!("logq-{}", std::process::id());
        let query = [
            ("ignore_unavailable", "true"),
            ("filter_path", filter_path),
            ("preference", session.as_str()),
        ];
        let asked = self.client.ask(what, Method::Post, &path, &query, Some(body));
        self.runtime.block_on(async {
            match tokio::time::timeout(REQUEST_TIMEOUT, asked).await {
                Ok(answer) => answer,
                Err(_) => Err(Error::Interrupted {
                    url: self.client.url().to_owned(),
                    what: what.to_owned(),
                    reason: format!("did not answer within {REQUEST_TIMEOUT:?}"),
                }),
            }
        })
    }
}
