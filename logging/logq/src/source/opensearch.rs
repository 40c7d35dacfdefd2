//! OpenSearch: every line that it holds, page by page, as of one moment.

use std::collections::VecDeque;

use line::Document;
use schema::{field, label, stream};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::Entry;
use crate::{
    filter::{Filter, push},
    opensearch::{Client, Method, Result},
    plan::{Known, Wanted},
};

/// Lines of one page; OpenSearch gives 10,000 at most (`index.max_result_window`).
const PAGE: usize = 5_000;

/// How long the moment is kept between two pages.
const KEEP: &str = "2m";

/// Traces of one photo, and components that one uses: more are not expected.
const MOST: usize = 1_000;

/// All data streams of ours.
#[must_use]
pub fn streams() -> String {
    stream::ALL.map(stream::data_stream).join(",")
}

/// In which order lines are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The oldest first.
    Forward,
    /// The newest first.
    Backward,
}

impl Order {
    const fn name(self) -> &'static str {
        match self {
            Self::Forward => "asc",
            Self::Backward => "desc",
        }
    }
}

/// The lines that a filter wants, as OpenSearch held them when the first was
/// asked for: what is stored or deleted meanwhile changes nothing.
///
/// Lines of the same time are told apart by their ids, so that none is missed
/// or given twice where a page ends.
pub struct Pages<'c> {
    client: &'c Client,
    runtime: &'c Runtime,
    filter: Filter,
    order: Order,
    moment: Option<String>,
    after: Option<Value>,
    ready: VecDeque<Document>,
    ended: bool,
}

impl<'c> Pages<'c> {
    /// Asks nothing yet.
    #[must_use]
    pub const fn new(client: &'c Client, runtime: &'c Runtime, filter: Filter, order: Order) -> Self {
        Self {
            client,
            runtime,
            filter,
            order,
            moment: None,
            after: None,
            ready: VecDeque::new(),
            ended: false,
        }
    }

    fn turn(&mut self) -> Result<()> {
        let moment = match &self.moment {
            Some(moment) => moment.clone(),
            None => self.runtime.block_on(hold(self.client))?,
        };
        self.moment = Some(moment.clone());
        let mut body = page(&self.filter, self.order);
        body["pit"] = json!({ "id": moment, "keep_alive": KEEP });
        if let Some(after) = &self.after {
            body["search_after"] = after.clone();
        }
        let asked = self
            .client
            .ask("give lines", Method::Post, "/_search", &[], Some(&body));
        let mut answer = self.runtime.block_on(asked)?;
        if let Some(Value::String(moment)) = answer.get_mut("pit_id").map(Value::take) {
            self.moment = Some(moment);
        }
        let hits = match answer.pointer_mut("/hits/hits").map(Value::take) {
            Some(Value::Array(hits)) => hits,
            _ => return Err(self.client.strange("give lines", "its answer has no hits")),
        };
        self.ended = hits.len() < PAGE;
        for mut hit in hits {
            self.after = hit.get_mut("sort").map(Value::take);
            let source = hit.get_mut("_source").map(Value::take).unwrap_or_default();
            if let Ok(document) = Document::try_from(source)
                && self.filter.matches(&document)
            {
                self.ready.push_back(document);
            }
        }
        Ok(())
    }
}

impl Iterator for Pages<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(document) = self.ready.pop_front() {
                return Some(Ok(Entry { document, raw: None }));
            }
            if self.ended {
                return None;
            }
            if let Err(error) = self.turn() {
                self.ended = true;
                return Some(Err(error));
            }
        }
    }
}

impl Drop for Pages<'_> {
    fn drop(&mut self) {
        if let Some(moment) = self.moment.take() {
            let body = json!({ "pit_id": [moment] });
            let path = "/_search/point_in_time";
            let released = self
                .client
                .ask("forget a moment", Method::Delete, path, &[], Some(&body));
            // It is forgotten in two minutes otherwise.
            let _ = self.runtime.block_on(released);
        }
    }
}

/// The question for one page, but for the moment that it is asked of.
#[must_use]
pub fn page(filter: &Filter, order: Order) -> Value {
    let mut body = json!({
        "size": PAGE,
        "sort": [
            { field::TIMESTAMP: { "order": order.name(), "numeric_type": "date_nanos" } },
            { field::EVENT_ID: { "order": order.name() } },
        ],
        "track_total_hits": false,
    });
    if let Some(query) = push(filter).query {
        body["query"] = json!({ "bool": { "filter": [query] } });
    }
    body
}

async fn hold(client: &Client) -> Result<String> {
    let path = format!("/{}/_search/point_in_time", streams());
    let query = [("keep_alive", KEEP), ("ignore_unavailable", "true")];
    let answer = client
        .ask("hold a moment", Method::Post, &path, &query, None)
        .await?;
    match answer.get("pit_id").and_then(Value::as_str) {
        Some(moment) => Ok(moment.to_owned()),
        None => Err(client.strange("hold a moment", "its answer has no pit_id")),
    }
}

/// How many lines a filter wants; none where OpenSearch cannot test all of it.
///
/// # Errors
/// Every error of [`Client::ask`].
pub async fn count(client: &Client, filter: &Filter) -> Result<Option<u64>> {
    let pushed = push(filter);
    if !pushed.exact {
        return Ok(None);
    }
    let body = pushed.query.map(|query| json!({ "query": query }));
    let path = format!("/{}/_count", streams());
    let query = [("ignore_unavailable", "true")];
    let answer = client
        .ask("count lines", Method::Post, &path, &query, body.as_ref())
        .await?;
    Ok(answer.get("count").and_then(Value::as_u64))
}

/// What has to be found out before it is known which lines are wanted.
///
/// # Errors
/// Every error of [`Client::ask`].
pub async fn known(client: &Client, wanted: &Wanted) -> Result<Known> {
    let mut known = Known::default();
    if !wanted.components.is_empty() {
        let labels: Vec<&str> = wanted.uses.wanted().iter().map(|used| used.label()).collect();
        for name in labels {
            let stored = label::stored(name).unwrap_or_else(|| name.to_owned());
            let place = format!("{}.{stored}", field::KUBERNETES_LABELS);
            let filter = Filter::All(vec![wanted.span.filter(), wanted.named()]);
            known.used.extend(values(client, &filter, &place).await?);
        }
    }
    if wanted.photo.is_some() {
        known
            .traces
            .extend(values(client, &wanted.way(), field::TRACE_ID).await?);
    }
    Ok(known)
}

/// The values that a keyword has in the lines of a filter.
async fn values(client: &Client, filter: &Filter, place: &str) -> Result<Vec<String>> {
    let what = "count values";
    let mut body = json!({
        "size": 0,
        "track_total_hits": false,
        "aggs": { "values": { "terms": { "field": place, "size": MOST } } },
    });
    if let Some(query) = push(filter).query {
        body["query"] = json!({ "bool": { "filter": [query] } });
    }
    let path = format!("/{}/_search", streams());
    let answer = client
        .ask(
            what,
            Method::Post,
            &path,
            &[("ignore_unavailable", "true")],
            Some(&body),
        )
        .await?;
    let buckets = answer
        .pointer("/aggregations/values/buckets")
        .and_then(Value::as_array);
    let buckets = buckets.ok_or_else(|| client.strange(what, "its answer has no buckets"))?;
    let keys = buckets.iter().filter_map(|bucket| bucket.get("key")?.as_str());
    Ok(keys.map(str::to_owned).collect())
}
