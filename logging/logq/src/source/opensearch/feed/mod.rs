//! The feed of OpenSearch: new lines by ingestion time.
//!
//! OpenSearch stamps each line with its own clock (`event.ingested`), and finds it after the next refresh of the
//! stream, usually within a second. So each round asks for lines since shortly before the previous round.
//! [`USUAL_DELAY`] is ten times the usual delay from stamp to search, and allows for clock differences between nodes.
//!
//! A bulk request may wait up to a minute for its shard (its `timeout`), while a node restarts. So some rounds look
//! back by [`MAX_DELAY`], and for the same time after an outage, to before it. The cursor remembers the ids of
//! delivered lines as long as a round can find them again. All times come from OpenSearch's clock: the local one may be
//! wrong.
//!
//! A round fetches ids first, then the lines with new ids. A quiet round is one small request, and no line is
//! transferred twice.

mod cursor;
mod gaps;
mod outage;
mod recent;
mod resolve;

use std::time::{Duration, Instant};

use schema::field;

use self::{
    cursor::{FeedCursor, Lookback},
    gaps::Gaps,
    outage::Outage,
};
use super::OpenSearchSource;
use crate::{
    entry::{Entry, Order},
    filter::{Comparison, Filter, Literal},
    query::{Query, ResolvedContext},
    source::{
        feed::{Backlog, Feed, FeedEnd, FeedOptions, FeedSink},
        missing::missing_so_far,
    },
};

/// How far a usual round looks back.
const USUAL_DELAY: Duration = Duration::from_secs(10);

/// How far a far round looks back.
const MAX_DELAY: Duration = Duration::from_secs(90);

const FAR_INTERVAL: Duration = Duration::from_secs(10);

/// Minimum interval between rounds. With the refresh, it determines the delay of a line.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Maximum interval between slow rounds. OpenSearch is busy for a third of the time at most.
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(5);

/// Maximum number of lines per batch.
const BATCH: usize = 1_000;

/// Delivers the lines of OpenSearch.
pub struct OpenSearchFeed {
    store: OpenSearchSource,
    query: Query,
    options: FeedOptions,
    context: ResolvedContext,
    cursor: FeedCursor,
    /// Start of the last complete far round.
    last_far_round: Instant,
    gaps: Gaps,
    outage: Outage,
}

impl OpenSearchFeed {
    #[must_use]
    pub fn new(store: OpenSearchSource, query: Query, options: FeedOptions) -> Self {
        Self {
            outage: Outage::new(store.url()),
            store,
            query,
            options,
            context: ResolvedContext::default(),
            cursor: FeedCursor::default(),
            last_far_round: Instant::now(),
            gaps: Gaps::default(),
        }
    }

    /// The lines to deliver, by the current context.
    fn filter(&self, context: &ResolvedContext) -> Filter {
        if self.options.context_lines.is_wanted() {
            self.query.scope(context)
        } else {
            self.query.filter(context)
        }
    }

    /// Sends existing lines.
    fn send_existing(&mut self, sink: &FeedSink) -> Result<(), FeedEnd> {
        if self.query.needs_context() {
            self.context = self.store.resolve(&self.query)?;
            sink.send_context(self.context.clone())?;
        }
        // Lines found from now on are new. Existing ones are not, even if they are not shown.
        let filter = self.filter(&self.context);
        self.store.prime(&filter, &mut self.cursor)?;
        self.gaps.check(&self.store, &self.cursor)?;
        match self.options.backlog {
            Backlog::All => self.send_past(&filter, sink)?,
            Backlog::Last(0) => {}
            Backlog::Last(max_lines) => self.send_tail(max_lines, sink)?,
        }
        sink.end_past()?;
        for note in missing_so_far(&self.query, &self.store) {
            sink.send_note(note)?;
        }
        Ok(())
    }

    /// Sends all existing matches.
    fn send_past(&mut self, filter: &Filter, sink: &FeedSink) -> Result<(), FeedEnd> {
        let mut lines = self.store.lines(filter, Order::Forward);
        let mut batch = Vec::new();
        loop {
            match lines.next() {
                Some(Ok(entry)) => {
                    self.outage.end(sink)?;
                    self.cursor.mark_line(&entry.document);
                    batch.push(entry);
                    if batch.len() >= BATCH {
                        sink.send_past(std::mem::take(&mut batch))?;
                    }
                }
                None => {
                    self.outage.end(sink)?;
                    return sink.send_past(batch);
                }
                // A restart loses the point in time.
                Some(Err(error)) if error.is_transient() || error.rejection_status() == Some(404) => {
                    self.outage.wait(&error, sink)?;
                    lines.resume();
                }
                Some(Err(error)) => return Err(error.into()),
            }
        }
    }

    /// Sends the newest matches with their context.
    fn send_tail(&mut self, max_lines: usize, sink: &FeedSink) -> Result<(), FeedEnd> {
        let filter = self.query.filter(&self.context);
        let newest = self.newest(&filter, max_lines)?;
        if !self.options.context_lines.is_wanted() {
            return self.send_entries(newest, sink);
        }
        let bound = |comparison| {
            let time = newest.first()?.document.timestamp()?;
            let time = Literal::new(&time.to_string());
            Some(Filter::Compare(field::TIMESTAMP.to_owned(), comparison, time))
        };
        let scope = self.filter(&self.context);
        let within = |bound: Option<Filter>| Filter::All(bound.into_iter().chain([scope.clone()]).collect());
        // Without a match, these may be context of a future match.
        let before = self.newest(
            &within(bound(Comparison::Less)),
            self.options.context_lines.before,
        )?;
        self.send_entries(before, sink)?;
        match bound(Comparison::AtLeast) {
            Some(bound) => self.send_past(&within(Some(bound)), sink),
            None => Ok(()),
        }
    }

    /// The newest lines of a filter, oldest first.
    fn newest(&self, filter: &Filter, limit: usize) -> Result<Vec<Entry>, FeedEnd> {
        let lines = self.store.lines(filter, Order::Backward).take(limit);
        let mut lines = lines.collect::<Result<Vec<_>, _>>()?;
        lines.reverse();
        Ok(lines)
    }

    fn send_entries(&mut self, entries: Vec<Entry>, sink: &FeedSink) -> Result<(), FeedEnd> {
        for entry in &entries {
            self.cursor.mark_line(&entry.document);
        }
        sink.send_past(entries)
    }

    /// Delivers the lines since the last round.
    fn poll(&mut self, sink: &FeedSink) -> Result<(), FeedEnd> {
        let started = Instant::now();
        let lookback = if self.last_far_round.elapsed() < FAR_INTERVAL {
            Lookback::Usual
        } else {
            Lookback::Far
        };
        self.cursor.begin(lookback);
        if self.outage.is_active() || self.gaps.is_due() {
            self.gaps.check(&self.store, &self.cursor)?;
            self.outage.end(sink)?;
        }
        if self.query.needs_context() {
            let more = self.store.resolve_recent(&self.query, &self.cursor)?;
            self.outage.end(sink)?;
            self.apply_context(more, sink)?;
        }
        let filter = self.filter(&self.context);
        let mut pages = self.store.recent_pages(&filter, &self.cursor);
        while let Some(page) = pages.next(&self.store)? {
            self.outage.end(sink)?;
            for ids in self.cursor.undelivered(&page).chunks(BATCH) {
                let lines = self.store.fetch(ids, &self.cursor)?;
                let (ids, mut entries): (Vec<_>, Vec<Entry>) = lines.into_iter().unzip();
                // Otherwise `apply_context` would deliver them again when the context grows.
                entries.retain(|entry| filter.matches(&entry.document));
                for (id, taken) in ids {
                    self.cursor.mark(id, taken);
                }
                sink.send_new(entries)?;
            }
        }
        for gap in self.gaps.take_notes(pages.now()) {
            sink.send_note(gap)?;
        }
        if let Some(back) = self.cursor.advance(pages.now()) {
            sink.send_note(format!(
                "OpenSearch's clock was set back by {} s: recent lines may appear twice",
                back / 1_000
            ))?;
        }
        if lookback == Lookback::Far {
            self.last_far_round = started;
        }
        Ok(())
    }

    /// Adds to the context, and delivers older lines that match now.
    fn apply_context(&mut self, more: ResolvedContext, sink: &FeedSink) -> Result<(), FeedEnd> {
        let mut context = self.context.clone();
        let traces: Vec<String> = more.traces.difference(&context.traces).cloned().collect();
        if !context.merge(more) {
            return Ok(());
        }
        // With context lines, the whole scope is delivered anyway.
        let entries = if self.options.context_lines.is_wanted() {
            Vec::new()
        } else {
            let since = if self.query.time_range.since.is_some() {
                Filter::EVERYTHING
            } else {
                self.cursor.since_start_or_in_traces(&traces)
            };
            let old = self.query.filter(&self.context).negated();
            let back = Filter::All(vec![self.query.filter(&context), old, since]);
            let lines = self.store.lines(&back, Order::Forward);
            lines.collect::<Result<Vec<_>, _>>()?
        };
        for entry in &entries {
            self.cursor.mark_line(&entry.document);
        }
        sink.send_context(context.clone())?;
        self.context = context;
        sink.send_new(entries)
    }
}

impl Feed for OpenSearchFeed {
    fn follow(mut self: Box<Self>, sink: &FeedSink) -> Result<(), FeedEnd> {
        self.send_existing(sink)?;
        loop {
            let started = Instant::now();
            let result = self.poll(sink);
            for note in self.store.client().take_notes() {
                sink.send_note(note)?;
            }
            match result {
                Ok(()) => {
                    let pause = started.elapsed().saturating_mul(2);
                    sink.wait(pause.clamp(POLL_INTERVAL, MAX_POLL_INTERVAL))?;
                }
                Err(FeedEnd::Failed(error)) if error.is_transient() => {
                    self.outage.wait(&error, sink)?;
                }
                Err(stop) => return Err(stop),
            }
        }
    }
}
