//! Lines page by page, in the order of their times.

use std::collections::{HashSet, VecDeque};

use line::{Document, Time};
use schema::field;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{OpenSearchSource, PIT_KEEP_ALIVE, PIT_PATH, add_filter};
use crate::{
    filter::{Comparison, Filter, Literal},
    opensearch::{Error, Method, Result},
    source::{Entry, Order},
};

/// Lines of the first page, which somebody waits for, of the second, and of
/// all others. OpenSearch gives 10,000 at most (`index.max_result_window`).
const SIZES: [usize; 3] = [200, 1_000, 5_000];

/// About so many bytes a page has where lines are long: OpenSearch holds it in memory, and so does who reads.
const PAGE_BYTES: usize = 32 * 1024 * 1024;

/// A page that is asked for, with its bytes, and how many lines it is to have.
type Page = (JoinHandle<Result<(Value, usize)>>, usize);

/// Lines page by page.
///
/// Within the moment that is held, lines of one time have a place of their own
/// (`_shard_doc`), so that none is missed or given twice where a page ends.
/// Without it, they are told apart by their ids: that is how one goes on as of
/// a new moment, where OpenSearch has forgotten the old one, and how a line
/// that was stored twice, on both sides of a rollover, is given once.
pub struct PagedLines<'s> {
    store: &'s OpenSearchSource,
    filter: Filter,
    order: Order,
    point_in_time: Option<String>,
    /// Where the next page begins in this moment.
    after: Option<Value>,
    /// The page after the one that is being read, and its size.
    next: Option<Page>,
    pages_loaded: usize,
    /// So many lines a page has at most.
    max_lines: usize,
    /// So many were given when more were refused.
    size_limit: usize,
    /// The time of the line before, and the ids of all lines of that time.
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
    /// Goes on after the last line that came, as of a new moment: for after
    /// an error.
    pub fn resume(&mut self) {
        if let Some((page, _)) = self.next.take() {
            page.abort();
        }
        self.point_in_time = None;
        self.after = None;
        self.ended = false;
    }

    fn load_page(&mut self) -> Result<()> {
        let what = "give lines";
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
            // Fewer of them at a time may be given.
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
            return Err(self.store.client.unexpected(what, "its answer has no hits"));
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
        // Who reads a second page will want the third.
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

    /// Asks for the next page; None where there is no stream.
    fn ask(&mut self) -> Result<Option<Page>> {
        let point_in_time = match self.point_in_time.take() {
            Some(point_in_time) => point_in_time,
            None => match self.store.open_point_in_time() {
                Ok(point_in_time) => point_in_time,
                // Of no stream at all there is no moment: a 400.
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
            // Lines before are passed over; those of the last one's time are known.
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
        // Forgotten at the end even if this page does not come.
        self.point_in_time = Some(point_in_time);
        if let Some(after) = &self.after {
            body["search_after"] = after.clone();
        }
        let client = self.store.client.clone();
        let page = self.store.runtime.spawn(async move {
            let asked = client.ask_for("give lines", Method::Post, "/_search", &[], Some(&body));
            asked.await
        });
        Ok(Some((page, size)))
    }

    /// Whether the line was not given before.
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
                // The moment was kept for two minutes, and whoever reads took longer.
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

/// Whether the moment is not held any more, wholly or in part.
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
            // It is forgotten in two minutes otherwise.
            let _ = self
                .store
                .ask("forget a moment", Method::Delete, PIT_PATH, &[], Some(&body));
        }
    }
}

/// The question for one page, but for the moment that it is asked of.
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

/// Sorts by `@timestamp`, which every index has in nanoseconds.
pub(super) fn sort_by_time(order: Order) -> Value {
    json!({ field::TIMESTAMP: { "order": sort_order(order), "numeric_type": "date_nanos" } })
}

const fn sort_order(order: Order) -> &'static str {
    match order {
        Order::Forward => "asc",
        Order::Backward => "desc",
    }
}
