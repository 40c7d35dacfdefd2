//! Reads lines page by page, by time.

use std::collections::{HashSet, VecDeque};

use log_normalizer::{Document, Time};
use schema::field;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{OpenSearchSource, PIT_KEEP_ALIVE, PIT_PATH, add_filter};
use crate::{
    entry::{Entry, Order},
    filter::{Comparison, Filter, Literal},
    opensearch::{Error, Method, Result},
};

/// Sizes of the first page, which the user waits for, the second, and all others. OpenSearch allows 10,000 lines
/// (`index.max_result_window`).
const SIZES: [usize; 3] = [200, 1_000, 5_000];

/// Target size of a page with long lines: OpenSearch and logq hold it in memory.
const PAGE_BYTES: usize = 32 * 1024 * 1024;

/// A requested page: its response with size in bytes, and its number of lines.
type Page = (JoinHandle<Result<(Value, usize)>>, usize);

/// Lines page by page.
///
/// Within the point in time, `_shard_doc` orders lines of the same time, so no line is missed or repeated between
/// pages. With a new point in time, after OpenSearch lost the old one, ids identify lines that were already returned.
/// They also remove duplicates of a line that was stored on both sides of a rollover.
pub struct PagedLines<'s> {
    store: &'s OpenSearchSource,
    filter: Filter,
    order: Order,
    point_in_time: Option<String>,
    /// Where the next page starts in this point in time.
    after: Option<Value>,
    /// The prefetched page and its size.
    next: Option<Page>,
    pages_loaded: usize,
    /// Maximum number of lines of a page.
    max_lines: usize,
    /// Half of the last rejected page size.
    size_limit: usize,
    /// The time of the last line, and the ids of all lines of that time.
    last: Option<Time>,
    seen_ids: HashSet<String>,
    ready: VecDeque<Document>,
    ended: bool,
}

impl<'s> PagedLines<'s> {
    pub(super) fn new(store: &'s OpenSearchSource, filter: &Filter, order: Order) -> Self {
        Self {
            store,
            filter: filter.clone(),
            order,
            point_in_time: None,
            after: None,
            next: None,
            pages_loaded: 0,
            max_lines: usize::MAX,
            size_limit: usize::MAX,
            last: None,
            seen_ids: HashSet::new(),
            ready: VecDeque::new(),
            ended: false,
        }
    }
}

impl PagedLines<'_> {
    /// Continues after the last line with a new point in time, after an error.
    pub fn resume(&mut self) {
        if let Some((page, _)) = self.next.take() {
            page.abort();
        }
        self.point_in_time = None;
        self.after = None;
        self.ended = false;
    }

    fn load_page(&mut self) -> Result<()> {
        let what = "return lines";
        let (page, size) = match self.next.take() {
            Some(page) => page,
            None => match self.ask()? {
                Some(page) => page,
                None => {
                    self.ended = true;
                    return Ok(());
                }
            },
        };
        let answer = self.store.runtime.block_on(page);
        let answer = answer.map_err(|error| self.store.client.unexpected(what, &error.to_string()))?;
        let (mut answer, bytes) = match answer {
            // A smaller page may be possible.
            Err(error) if error.is_too_large() && size > 1 => {
                self.size_limit = size / 2;
                self.max_lines = self.size_limit;
                return Ok(());
            }
            answer => answer?,
        };
        if let Some(Value::String(point_in_time)) = answer.get_mut("pit_id").map(Value::take) {
            self.point_in_time = Some(point_in_time);
        }
        let Some(Value::Array(mut hits)) = answer.pointer_mut("/hits/hits").map(Value::take) else {
            return Err(self.store.client.unexpected(what, "the response has no hits"));
        };
        self.pages_loaded += 1;
        if bytes < PAGE_BYTES / 8 {
            self.size_limit = self.size_limit.saturating_mul(2);
        }
        self.max_lines = self
            .size_limit
            .min(PAGE_BYTES / (bytes / hits.len().max(1)).max(1));
        self.ended = hits.len() < size;
        if let Some(last) = hits.last_mut() {
            self.after = last.get_mut("sort").map(Value::take);
        }
        // A reader of the second page probably wants the third.
        if !self.ended && self.pages_loaded > 1 {
            self.next = self.ask()?;
        }
        for mut hit in hits {
            let source = hit.get_mut("_source").map(Value::take).unwrap_or_default();
            let document = Document::try_from(source);
            let document =
                document.map_err(|error| self.store.client.unexpected(what, &error.to_string()))?;
            if self.is_new(&document) && self.filter.matches(&document) {
                self.ready.push_back(document);
            }
        }
        Ok(())
    }

    /// Requests the next page; None without a stream.
    fn ask(&mut self) -> Result<Option<Page>> {
        let point_in_time = match self.point_in_time.take() {
            Some(point_in_time) => point_in_time,
            None => match self.store.open_point_in_time() {
                Ok(point_in_time) => point_in_time,
                // Without any stream, opening a point in time fails with a 400.
                Err(error) if error.rejection_status() == Some(400) && !self.store.has_streams()? => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            },
        };
        let size = SIZES
            .get(self.pages_loaded)
            .or(SIZES.last())
            .copied()
            .unwrap_or(1);
        let size = size.min(self.max_lines).max(1);
        let mut body = match (self.last, &self.after) {
            // Skip earlier lines. The ids of the last time are known.
            (Some(last), None) => {
                let bound = match self.order {
                    Order::Forward => Comparison::AtLeast,
                    Order::Backward => Comparison::AtMost,
                };
                let last = Literal::new(&last.to_string());
                let rest = Filter::Compare(field::TIMESTAMP.to_owned(), bound, last);
                page(&Filter::All(vec![self.filter.clone(), rest]), self.order)
            }
            _ => page(&self.filter, self.order),
        };
        body["size"] = size.into();
        body["pit"] = json!({ "id": point_in_time, "keep_alive": PIT_KEEP_ALIVE });
        // Close it at the end, even if this page fails.
        self.point_in_time = Some(point_in_time);
        if let Some(after) = &self.after {
            body["search_after"] = after.clone();
        }
        let client = self.store.client.clone();
        let page = self.store.runtime.spawn(async move {
            let request = client.ask_for("return lines", Method::Post, "/_search", &[], Some(&body));
            request.await
        });
        Ok(Some((page, size)))
    }

    fn is_new(&mut self, document: &Document) -> bool {
        let time = document.timestamp();
        if time != self.last {
            self.seen_ids.clear();
            self.last = time;
        }
        match document.id() {
            Some(id) => self.seen_ids.insert(id.to_owned()),
            None => true,
        }
    }
}

impl Iterator for PagedLines<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut resumed = false;
        loop {
            if let Some(document) = self.ready.pop_front() {
                return Some(Ok(Entry { document, raw: None }));
            }
            if self.ended {
                return None;
            }
            match self.load_page() {
                Ok(()) => {}
                // The reader took longer than PIT_KEEP_ALIVE.
                Err(error) if is_point_in_time_lost(&error) && self.last.is_some() && !resumed => {
                    resumed = true;
                    self.resume();
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// Whether OpenSearch lost the point in time, completely or partly.
fn is_point_in_time_lost(error: &Error) -> bool {
    match error {
        Error::Partial { reason, .. } => reason.starts_with("No search context found"),
        error => error.rejection_status() == Some(404),
    }
}

impl Drop for PagedLines<'_> {
    fn drop(&mut self) {
        if let Some((page, _)) = self.next.take() {
            page.abort();
        }
        if let Some(point_in_time) = self.point_in_time.take() {
            let body = json!({ "pit_id": [point_in_time] });
            // Otherwise it expires by itself.
            let _ = self.store.ask(
                "close a point in time",
                Method::Delete,
                PIT_PATH,
                &[],
                Some(&body),
            );
        }
    }
}

/// The request for a page, without its point in time.
#[must_use]
pub fn page(filter: &Filter, order: Order) -> Value {
    let mut body = json!({
        "size": SIZES.last(),
        "sort": [sort_by_time(order), { "_shard_doc": { "order": sort_order(order) } }],
        "track_total_hits": false,
    });
    add_filter(&mut body, filter);
    body
}

/// Sorts by `@timestamp`, which every index stores in nanoseconds.
pub(super) fn sort_by_time(order: Order) -> Value {
    json!({ field::TIMESTAMP: { "order": sort_order(order), "numeric_type": "date_nanos" } })
}

const fn sort_order(order: Order) -> &'static str {
    match order {
        Order::Forward => "asc",
        Order::Backward => "desc",
    }
}
