//! OpenSearch: every line that it holds, page by page, as of one moment.

mod aggregate;
mod feed;
mod pages;
mod rhythm;

use std::{
    io::{self, Write},
    time::Duration,
};

use line::Time;
use schema::{field, label, stream};
use serde_json::{Value, json};
use tokio::runtime::{self, Runtime};

pub use self::{
    aggregate::can_count,
    feed::OpenSearchFeed,
    pages::{PagedLines, page},
    rhythm::Rhythm,
};
use super::Order;
use crate::{
    filter::{Comparison, DslQuery, Filter, Literal, push_down},
    opensearch::{Client, Method, Result},
    query::{Query, ResolvedContext},
};

/// How long the moment is kept between two pages.
const PIT_KEEP_ALIVE: &str = "2m";

/// Traces of one photo, and components that one uses: more is an error.
const MAX_VALUES: usize = 10_000;

/// So many values are enough to see which one was meant.
const MAX_FREQUENT_VALUES: usize = 200;

const COUNT_VALUES: &str = "count values";

/// Where moments are held and forgotten.
const PIT_PATH: &str = "/_search/point_in_time";

/// A stream that is not there yet has no lines.
const IGNORE_UNAVAILABLE: [(&str, &str); 1] = [("ignore_unavailable", "true")];

/// All data streams of ours.
#[must_use]
pub fn streams() -> String {
    stream::ALL.map(stream::data_stream).join(",")
}

/// OpenSearch, asked for lines by who waits for the answer.
pub struct OpenSearchSource {
    client: Client,
    runtime: Runtime,
}

impl OpenSearchSource {
    /// Asks nothing yet.
    ///
    /// # Errors
    /// The system's, where it has nothing left for waiting.
    pub fn new(client: Client) -> io::Result<Self> {
        // One thread beside the caller's: it fetches a page while another is shown.
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("opensearch")
            .enable_all()
            .build()?;
        Ok(Self { client, runtime })
    }

    /// Sees whether it can be reached and lets us in.
    ///
    /// # Errors
    /// Every error of [`Client::reach`].
    pub fn reach(&self, patience: Duration) -> Result<()> {
        self.runtime.block_on(self.client.reach(patience)).map(|_| ())
    }

    /// The connection that it asks through.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Where it is; holds no password.
    #[must_use]
    pub fn url(&self) -> &str {
        self.client.url()
    }

    /// The lines that a filter wants, as OpenSearch holds them when the first
    /// is asked for: what is stored or deleted meanwhile changes nothing.
    #[must_use]
    pub fn lines(&self, filter: &Filter, order: Order) -> PagedLines<'_> {
        PagedLines::new(self, filter, order)
    }

    /// Writes the question for the lines of this filter.
    ///
    /// # Errors
    /// The output's.
    pub fn explain(&self, filter: &Filter, out: &mut dyn Write) -> io::Result<()> {
        if let Some(command) = self.client.command() {
            writeln!(out, "reached by: {command}")?;
        }
        writeln!(
            out,
            "asked of {}: POST /_search, a point in time of {}",
            self.url(),
            streams()
        )?;
        let query = serde_json::to_string_pretty(&page(filter, Order::Forward)).unwrap_or_default();
        for line in query.lines() {
            writeln!(out, "{}", terminal::escaped(line))?;
        }
        if !push_down(filter).is_exact() {
            writeln!(out, "The rest is tested here, line by line.")?;
        }
        Ok(())
    }

    /// How many lines a filter wants; none where OpenSearch cannot tell.
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
        count.ok_or_else(|| self.client.unexpected(what, "its answer has no count"))
    }

    /// Whether there is a line that OpenSearch's part of a filter wants.
    ///
    /// # Errors
    /// Every error of [`Client::ask`].
    pub fn has_match(&self, filter: &Filter) -> Result<bool> {
        let mut body = json!({ "size": 0, "terminate_after": 1, "track_total_hits": 1 });
        add_filter(&mut body, filter);
        let path = format!("/{}/_search", streams());
        let answer = self.ask(
            "look for a line",
            Method::Post,
            &path,
            &IGNORE_UNAVAILABLE,
            Some(&body),
        )?;
        let total = answer.pointer("/hits/total/value").and_then(Value::as_u64);
        Ok(total.is_some_and(|total| total > 0))
    }

    /// What has to be found out before it is known which lines are wanted.
    ///
    /// What a component uses, any line of it says, however old: it may have been silent in the time that is asked for.
    /// OpenSearch keeps the answers for indices that nothing is written to any more.
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

    /// The components of these lines of which one has come since then.
    ///
    /// # Errors
    /// Every error of [`Client::ask`].
    pub fn components_since(&self, field_path: &Filter, since: Time) -> Result<Vec<String>> {
        let since = Literal::new(&since.to_string());
        let recent = Filter::Compare(field::EVENT_INGESTED.to_owned(), Comparison::AtLeast, since);
        self.values(&Filter::All(vec![field_path.clone(), recent]), field::COMPONENT)
    }

    /// When these lines have come, and the time by OpenSearch's clock; none where none has in a day.
    ///
    /// # Errors
    /// Every error of [`Client::ask`].
    pub fn rhythm(&self, filter: &Filter) -> Result<Option<(Rhythm, f64)>> {
        let query = push_down(filter).upper.into_dsl();
        self.runtime.block_on(Rhythm::ask(&self.client, query))
    }

    /// The values that a keyword has in the lines of a filter.
    fn values(&self, filter: &Filter, field_path: &str) -> Result<Vec<String>> {
        let (values, others) = self.top_values(filter, field_path, MAX_VALUES)?;
        if others != Some(0) {
            let many = format!("{field_path} has more than {MAX_VALUES} values");
            return Err(self.client.unexpected(COUNT_VALUES, &many));
        }
        Ok(values)
    }

    /// So many of the values, and how many lines have others.
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
        let path = format!("/{}/_search", streams());
        let answer = self.ask(what, Method::Post, &path, &IGNORE_UNAVAILABLE, Some(&body))?;
        let values = answer.pointer("/aggregations/values");
        let buckets = values.and_then(|values| values.get("buckets")?.as_array());
        let buckets = buckets.ok_or_else(|| self.client.unexpected(what, "its answer has no buckets"))?;
        let others = values.and_then(|values| values.get("sum_other_doc_count")?.as_u64());
        let keys = buckets.iter().filter_map(|bucket| bucket.get("key")?.as_str());
        Ok((keys.map(str::to_owned).collect(), others))
    }

    /// The most frequent values that a keyword has in the lines of a filter.
    ///
    /// # Errors
    /// Every error of [`Client::ask`].
    pub fn frequent_values(&self, filter: &Filter, field_path: &str) -> Result<Vec<String>> {
        Ok(self.top_values(filter, field_path, MAX_FREQUENT_VALUES)?.0)
    }

    fn has_streams(&self) -> Result<bool> {
        let path = format!("/{}/_count", streams());
        let answer = self.ask("count lines", Method::Post, &path, &IGNORE_UNAVAILABLE, None)?;
        Ok(answer.pointer("/_shards/total").and_then(Value::as_u64) != Some(0))
    }

    /// Holds the present moment; returns its name.
    fn open_point_in_time(&self) -> Result<String> {
        let what = "hold a moment";
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
            None => Err(self.client.unexpected(what, "its answer has no pit_id")),
        }
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

/// What OpenSearch can test of the filter.
fn add_filter(body: &mut Value, filter: &Filter) {
    body["query"] = json!({ "bool": { "filter": [push_down(filter).upper.into_dsl()] } });
}
