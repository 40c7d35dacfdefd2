//! OpenSearch as a source: reads lines page by page from a point in time.

mod aggregate;
mod feed;
mod freshness;
mod pages;
mod source;

use std::{io, time::Duration};

use log_normalizer::Time;
use schema::{field, label, stream};
use serde_json::{Value, json};
use tokio::runtime::{self, Runtime};

pub use self::{
    aggregate::can_count,
    feed::OpenSearchFeed,
    pages::{PagedLines, page},
};
use crate::{
    entry::Order,
    filter::{Comparison, DslQuery, Filter, Literal, push_down},
    opensearch::{Client, Method, Result},
    query::{Query, ResolvedContext},
};

/// How long OpenSearch keeps the point in time between two pages.
const PIT_KEEP_ALIVE: &str = "2m";

/// Maximum number of traces of a photo or dependencies; more is an error.
const MAX_VALUES: usize = 10_000;

/// Enough values for a suggestion.
const MAX_FREQUENT_VALUES: usize = 200;

const COUNT_VALUES: &str = "count values";

/// The API path of points in time.
const PIT_PATH: &str = "/_search/point_in_time";

/// A missing stream has no lines.
const IGNORE_UNAVAILABLE: [(&str, &str); 1] = [("ignore_unavailable", "true")];

/// The names of all our data streams.
#[must_use]
pub fn streams() -> String {
    stream::ALL.map(stream::data_stream).join(",")
}

/// OpenSearch, with a blocking interface.
pub struct OpenSearchSource {
    client: Client,
    runtime: Runtime,
}

impl OpenSearchSource {
    /// # Errors
    /// No runtime is available.
    pub fn new(client: Client) -> io::Result<Self> {
        // A worker thread fetches the next page while the current one is shown.
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("opensearch")
            .enable_all()
            .build()?;
        Ok(Self { client, runtime })
    }

    /// Checks that OpenSearch is reachable and accepts the credentials.
    ///
    /// # Errors
    /// Every error of [`Client::reach`].
    pub fn reach(&self, patience: Duration) -> Result<()> {
        self.runtime.block_on(self.client.reach(patience)).map(|_| ())
    }

    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// The URL, without a password.
    #[must_use]
    pub fn url(&self) -> &str {
        self.client.url()
    }

    /// The matching lines at the time of the first request. Later changes have no effect.
    #[must_use]
    pub fn lines(&self, filter: &Filter, order: Order) -> PagedLines<'_> {
        PagedLines::new(self, filter, order)
    }

    /// Counts the matching lines; None if OpenSearch cannot count them exactly.
    ///
    /// # Errors
    /// Every error of [`Client::ask`].
    pub fn count(&self, filter: &Filter) -> Result<Option<u64>> {
        let bounds = push_down(filter);
        let max_lines = self.counted(&bounds.upper)?;
        let uncertain = bounds.uncertain();
        Ok((uncertain == DslQuery::Nothing || self.counted(&uncertain)? == 0).then_some(max_lines))
    }

    fn counted(&self, query: &DslQuery) -> Result<u64> {
        let what = "count lines";
        let body = json!({ "query": query.clone().into_dsl() });
        let path = format!("/{}/_count", streams());
        let answer = self.ask(what, Method::Post, &path, &IGNORE_UNAVAILABLE, Some(&body))?;
        let count = answer.get("count").and_then(Value::as_u64);
        count.ok_or_else(|| self.client.unexpected(what, "the response has no count"))
    }

    /// Whether a line matches OpenSearch's part of a filter.
    ///
    /// # Errors
    /// Every error of [`Client::ask`].
    pub fn has_match(&self, filter: &Filter) -> Result<bool> {
        let mut body = json!({ "size": 0, "terminate_after": 1, "track_total_hits": 1 });
        add_filter(&mut body, filter);
        let answer = self.search_streams("search a line", &body)?;
        let total = answer.pointer("/hits/total/value").and_then(Value::as_u64);
        Ok(total.is_some_and(|total| total > 0))
    }

    /// Resolves the context of a query.
    ///
    /// Any line of a component names its dependencies, so lines of all times are searched: the component may be silent
    /// in the time range. OpenSearch caches the results for old indices.
    ///
    /// # Errors
    /// Every error of [`Client::ask`].
    pub fn resolve(&self, query: &Query) -> Result<ResolvedContext> {
        let mut context = ResolvedContext::default();
        if !query.components.is_empty() {
            let named = query.component_filter();
            for used in query.dependencies.requested() {
                let label = label::stored(used.label()).unwrap_or_else(|| used.label().to_owned());
                let field_path = format!("{}.{label}", field::KUBERNETES_LABELS);
                context.dependencies.extend(self.values(&named, &field_path)?);
            }
        }
        if !query.photos.is_empty() {
            context
                .traces
                .extend(self.values(&query.photo_journey(), field::TRACE_ID)?);
        }
        Ok(context)
    }

    /// The components of these lines that sent a line since then.
    ///
    /// # Errors
    /// Every error of [`Client::ask`].
    pub fn components_since(&self, filter: &Filter, since: Time) -> Result<Vec<String>> {
        let since = Literal::new(&since.to_string());
        let recent = Filter::Compare(field::EVENT_INGESTED.to_owned(), Comparison::AtLeast, since);
        self.values(&Filter::All(vec![filter.clone(), recent]), field::COMPONENT)
    }

    /// When the newest of these lines arrived; None without a line.
    ///
    /// # Errors
    /// Every error of [`Client::ask`].
    pub fn newest_arrival(&self, filter: &Filter) -> Result<Option<Time>> {
        let newest = json!({ "newest": { "max": { "field": field::EVENT_INGESTED } } });
        let mut body = json!({ "size": 0, "track_total_hits": false, "aggs": newest });
        add_filter(&mut body, filter);
        let answer = self.search_streams("find the newest line", &body)?;
        let millis = answer
            .pointer("/aggregations/newest/value")
            .and_then(Value::as_f64);
        Ok(millis.map(|millis| Time::from_nanos(millis as i64 * 1_000_000)))
    }

    /// All values of a keyword in the matching lines.
    fn values(&self, filter: &Filter, field_path: &str) -> Result<Vec<String>> {
        let (values, others) = self.top_values(filter, field_path, MAX_VALUES)?;
        if others != Some(0) {
            let many = format!("{field_path} has more than {MAX_VALUES} values");
            return Err(self.client.unexpected(COUNT_VALUES, &many));
        }
        Ok(values)
    }

    /// The most frequent values, and the number of lines with others.
    fn top_values(
        &self,
        filter: &Filter,
        field_path: &str,
        limit: usize,
    ) -> Result<(Vec<String>, Option<u64>)> {
        let what = COUNT_VALUES;
        let mut body = json!({
            "size": 0,
            "track_total_hits": false,
            "aggs": { "values": { "terms": { "field": field_path, "size": limit } } },
        });
        add_filter(&mut body, filter);
        let answer = self.search_streams(what, &body)?;
        let values = answer.pointer("/aggregations/values");
        let buckets = values.and_then(|values| values.get("buckets")?.as_array());
        let buckets = buckets.ok_or_else(|| self.client.unexpected(what, "the response has no buckets"))?;
        let others = values.and_then(|values| values.get("sum_other_doc_count")?.as_u64());
        let keys = buckets.iter().filter_map(|bucket| bucket.get("key")?.as_str());
        Ok((keys.map(str::to_owned).collect(), others))
    }

    fn has_streams(&self) -> Result<bool> {
        let path = format!("/{}/_count", streams());
        let answer = self.ask("count lines", Method::Post, &path, &IGNORE_UNAVAILABLE, None)?;
        Ok(answer.pointer("/_shards/total").and_then(Value::as_u64) != Some(0))
    }

    /// Opens a point in time; returns its id.
    fn open_point_in_time(&self) -> Result<String> {
        let what = "open a point in time";
        let path = format!("/{}{PIT_PATH}", streams());
        let [available] = IGNORE_UNAVAILABLE;
        let answer = self.ask(
            what,
            Method::Post,
            &path,
            &[("keep_alive", PIT_KEEP_ALIVE), available],
            None,
        )?;
        match answer.get("pit_id").and_then(Value::as_str) {
            Some(point_in_time) => Ok(point_in_time.to_owned()),
            None => Err(self.client.unexpected(what, "the response has no pit_id")),
        }
    }

    fn search_streams(&self, what: &str, body: &Value) -> Result<Value> {
        let path = format!("/{}/_search", streams());
        self.ask(what, Method::Post, &path, &IGNORE_UNAVAILABLE, Some(body))
    }

    fn ask(
        &self,
        what: &str,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value> {
        self.runtime
            .block_on(self.client.ask(what, method, path, query, body))
    }
}

/// Adds the part of the filter that OpenSearch can test.
fn add_filter(body: &mut Value, filter: &Filter) {
    body["query"] = json!({ "bool": { "filter": [push_down(filter).upper.into_dsl()] } });
}
