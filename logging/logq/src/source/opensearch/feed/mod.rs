//! New lines, by when OpenSearch took them.
//!
//! OpenSearch stamps each line with its own clock when it takes it
//! (`event.ingested`), and shows it with the next refresh of its stream, one
//! second later at most, or more when it is busy. So a round asks for all that
//! was taken since shortly before the round before it: [`USUAL_DELAY`] is ten times
//! what a line usually needs from the stamp to being found, and leaves room for
//! the nodes' clocks to differ. A bulk request may wait a minute for its shard
//! after its lines were stamped (its `timeout`), while a node comes back; so
//! from time to time a round looks back by [`MAX_DELAY`], and to before an outage
//! for as long after it. What was given is known by its id for as
//! long as it can be found again. Both ends of that time are OpenSearch's
//! clock: this machine's may be wrong.
//!
//! A round asks for ids first, and then for the lines whose ids are new: a
//! quiet round is one small question, and no line is sent twice.

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
    cli::Search,
    filter::{Comparison, Filter, Literal},
    follow::{Backlog, Feed, FeedEnd, FeedSink},
    query::{Query, ResolvedContext},
    search::{ContextLines, SearchError, SourceProbe, missing_so_far, unknown_dependencies_note},
    source::{Entry, Order},
};

/// Lines that were taken so long before the round before may still come.
const USUAL_DELAY: Duration = Duration::from_secs(10);

/// Some may come even later.
const MAX_DELAY: Duration = Duration::from_secs(90);

/// So often they are looked for.
const FAR_INTERVAL: Duration = Duration::from_secs(10);

/// Between two rounds at least. Together with the refresh it is what a line
/// needs until it is given.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Between two rounds at most, where they take long: OpenSearch is asked for a
/// third of the time.
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(5);

/// So many lines are given at a time.
const BATCH: usize = 1_000;

/// Lines of OpenSearch, as they come.
pub struct OpenSearchFeed {
    store: OpenSearchSource,
    query: Query,
    backlog: Backlog,
    context_lines: ContextLines,
    context: ResolvedContext,
    cursor: FeedCursor,
    /// When a whole round looked far back.
    last_far_round: Instant,
    gaps: Gaps,
    outage: Outage,
}

impl OpenSearchFeed {
    /// Asks nothing yet.
    #[must_use]
    pub fn new(store: OpenSearchSource, query: Query, search: &Search) -> Self {
        Self {
            outage: Outage::new(store.url()),
            store,
            query,
            backlog: Backlog::from_options(search),
            context_lines: ContextLines::from_options(&search.show),
            context: ResolvedContext::default(),
            cursor: FeedCursor::default(),
            last_far_round: Instant::now(),
            gaps: Gaps::default(),
        }
    }

    /// The lines that are given, by what is known.
    fn filter(&self, context: &ResolvedContext) -> Filter {
        if self.context_lines.is_wanted() {
            self.query.scope(context)
        } else {
            self.query.filter(context)
        }
    }

    /// What is there already.
    fn send_existing(&mut self, sink: &FeedSink) -> Result<(), FeedEnd> {
        if self.query.needs_context() {
            self.context = self.store.resolve(&self.query)?;
            sink.send_context(self.context.clone())?;
            if let Some(note) = unknown_dependencies_note(&self.query, &self.context) {
                sink.send_note(note)?;
            }
        }
        // What comes from here on is new. What can be found already is not,
        // even if it is not among the lines that are shown first.
        let filter = self.filter(&self.context);
        self.store.prime(&filter, &mut self.cursor)?;
        self.gaps.check(&self.store, &self.cursor)?;
        match self.backlog {
            Backlog::All => self.send_past(&filter, sink)?,
            Backlog::Last(0) => {}
            Backlog::Last(max_lines) => self.send_tail(max_lines, sink)?,
        }
        sink.end_past()?;
        for note in missing_so_far(&self.query, SourceProbe::OpenSearch(&self.store)) {
            sink.send_note(note)?;
        }
        Ok(())
    }

    /// All lines of a filter that are there.
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
                // Where it was begun is forgotten in a restart.
                Some(Err(error)) if error.is_transient() || error.rejection_status() == Some(404) => {
                    self.outage.wait(&error, sink)?;
                    lines.resume();
                }
                Some(Err(error)) => return Err(error.into()),
            }
        }
    }

    /// The newest lines, with those around them where they are wanted.
    fn send_tail(&mut self, max_lines: usize, sink: &FeedSink) -> Result<(), FeedEnd> {
        let filter = self.query.filter(&self.context);
        let newest = self.newest(&filter, max_lines)?;
        if !self.context_lines.is_wanted() {
            return self.send_entries(newest, sink);
        }
        let bound = |comparison| {
            let time = newest.first()?.document.timestamp()?;
            let time = Literal::new(&time.to_string());
            Some(Filter::Compare(field::TIMESTAMP.to_owned(), comparison, time))
        };
        let scope = self.filter(&self.context);
        let within = |bound: Option<Filter>| Filter::All(bound.into_iter().chain([scope.clone()]).collect());
        // Where nothing was found, these can stand before what comes.
        let before = self.newest(&within(bound(Comparison::Less)), self.context_lines.before)?;
        self.send_entries(before, sink)?;
        match bound(Comparison::AtLeast) {
            Some(bound) => self.send_past(&within(Some(bound)), sink),
            None => Ok(()),
        }
    }

    /// So many of the newest lines of a filter, the oldest of them first.
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

    /// Gives what has come since the round before.
    fn poll(&mut self, sink: &FeedSink) -> Result<(), FeedEnd> {
        let begun = Instant::now();
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
                // Others would be remembered for when more is known, and
                // given a second time by `apply_context`.
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
                "OpenSearch's clock was set back by {} s: lines that came shortly before may be shown again",
                back / 1_000
            ))?;
        }
        if lookback == Lookback::Far {
            self.last_far_round = begun;
        }
        Ok(())
    }

    /// Takes in what was learnt, and gives the lines from before that are
    /// wanted since.
    fn apply_context(&mut self, more: ResolvedContext, sink: &FeedSink) -> Result<(), FeedEnd> {
        let mut context = self.context.clone();
        let traces: Vec<String> = more.traces.difference(&context.traces).cloned().collect();
        if !context.merge(more) {
            return Ok(());
        }
        // Whoever wants lines around others has all lines of the scope.
        let entries = if self.context_lines.is_wanted() {
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
            let begun = Instant::now();
            let result = self.poll(sink);
            for note in self.store.client().take_notes() {
                sink.send_note(note)?;
            }
            match result {
                Ok(()) => {
                    let pause = begun.elapsed().saturating_mul(2);
                    sink.wait(pause.clamp(POLL_INTERVAL, MAX_POLL_INTERVAL))?;
                }
                Err(FeedEnd::Failed(SearchError::OpenSearch(error))) if error.is_transient() => {
                    self.outage.wait(&error, sink)?;
                }
                Err(stop) => return Err(stop),
            }
        }
    }
}
