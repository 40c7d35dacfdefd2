//! New lines, by when OpenSearch took them.
//!
//! OpenSearch stamps each line with its own clock when it takes it
//! (`event.ingested`), and shows it with the next refresh of its stream, one
//! second later at most, or more when it is busy. So a round asks for all that
//! was taken since shortly before the round before it: [`USUAL`] is ten times
//! what a line usually needs from the stamp to being found, and leaves room for
//! the nodes' clocks to differ. A bulk request may wait a minute for its shard
//! after its lines were stamped (its `timeout`), while a node comes back; so
//! from time to time a round looks back by [`LONGEST`], and to before an outage
//! for as long after it. What was given is known by its id for as
//! long as it can be found again. Both ends of that time are OpenSearch's
//! clock: this machine's may be wrong.
//!
//! A round asks for ids first, and then for the lines whose ids are new: a
//! quiet round is one small question, and no line is sent twice.

mod gaps;
mod learn;
mod outage;
mod position;
mod recent;

use std::time::{Duration, Instant};

use schema::field;

use self::{
    gaps::Gaps,
    outage::Outage,
    position::{Position, Reach},
};
use super::Store;
use crate::{
    cli::Search,
    filter::{Comparison, Filter, Literal},
    follow::{Feed, Past, Sink, Stop},
    plan::{Known, Wanted},
    search::{Context, SearchError, There, so_far, unknown_uses},
    source::{Entry, Order},
};

/// Lines that were taken so long before the round before may still come.
const USUAL: Duration = Duration::from_secs(10);

/// Some may come even later.
const LONGEST: Duration = Duration::from_secs(90);

/// So often they are looked for.
const FAR_PAUSE: Duration = Duration::from_secs(10);

/// Between two rounds at least. Together with the refresh it is what a line
/// needs until it is given.
const PAUSE: Duration = Duration::from_millis(500);

/// Between two rounds at most, where they take long: OpenSearch is asked for a
/// third of the time.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// So many lines are given at a time.
const BATCH: usize = 1_000;

/// Lines of OpenSearch, as they come.
pub struct Follower {
    store: Store,
    wanted: Wanted,
    past: Past,
    context: Context,
    known: Known,
    position: Position,
    /// When a whole round looked far back.
    far: Instant,
    gaps: Gaps,
    outage: Outage,
}

impl Follower {
    /// Asks nothing yet.
    #[must_use]
    pub fn new(store: Store, wanted: Wanted, search: &Search) -> Self {
        Self {
            outage: Outage::of(store.url()),
            store,
            wanted,
            past: Past::of(search),
            context: Context::of(&search.show),
            known: Known::default(),
            position: Position::default(),
            far: Instant::now(),
            gaps: Gaps::default(),
        }
    }

    /// The lines that are given, by what is known.
    fn filter(&self, known: &Known) -> Filter {
        if self.context.is_wanted() {
            self.wanted.scope(known)
        } else {
            self.wanted.filter(known)
        }
    }

    /// What is there already.
    fn begin(&mut self, sink: &Sink) -> Result<(), Stop> {
        if self.wanted.depends() {
            self.known = self.store.known(&self.wanted)?;
            sink.learnt(self.known.clone())?;
            if let Some(note) = unknown_uses(&self.wanted, &self.known) {
                sink.note(note)?;
            }
        }
        // What comes from here on is new. What can be found already is not,
        // even if it is not among the lines that are shown first.
        let filter = self.filter(&self.known);
        self.store.prime(&filter, &mut self.position)?;
        self.gaps.look(&self.store, &self.position)?;
        match self.past {
            Past::All => self.earlier(&filter, sink)?,
            Past::Last(0) => {}
            Past::Last(most) => self.last(most, sink)?,
        }
        sink.caught_up()?;
        for note in so_far(&self.wanted, There::Store(&self.store)) {
            sink.note(note)?;
        }
        Ok(())
    }

    /// All lines of a filter that are there.
    fn earlier(&mut self, filter: &Filter, sink: &Sink) -> Result<(), Stop> {
        let mut lines = self.store.lines(filter, Order::Forward);
        let mut batch = Vec::new();
        loop {
            match lines.next() {
                Some(Ok(entry)) => {
                    self.outage.over(sink)?;
                    self.position.mark_line(&entry.document);
                    batch.push(entry);
                    if batch.len() >= BATCH {
                        sink.earlier(std::mem::take(&mut batch))?;
                    }
                }
                None => {
                    self.outage.over(sink)?;
                    return sink.earlier(batch);
                }
                // Where it was begun is forgotten in a restart.
                Some(Err(error)) if error.is_passing() || error.rejected_with() == Some(404) => {
                    self.outage.wait(&error, sink)?;
                    lines.resume();
                }
                Some(Err(error)) => return Err(error.into()),
            }
        }
    }

    /// The newest lines, with those around them where they are wanted.
    fn last(&mut self, most: usize, sink: &Sink) -> Result<(), Stop> {
        let filter = self.wanted.filter(&self.known);
        let newest = self.newest(&filter, most)?;
        if !self.context.is_wanted() {
            return self.give(newest, sink);
        }
        let bound = |comparison| {
            let time = newest.first()?.document.timestamp()?;
            let time = Literal::new(&time.to_string());
            Some(Filter::Compare(field::TIMESTAMP.to_owned(), comparison, time))
        };
        let scope = self.filter(&self.known);
        let within = |bound: Option<Filter>| Filter::All(bound.into_iter().chain([scope.clone()]).collect());
        // Where nothing was found, these can stand before what comes.
        let before = self.newest(&within(bound(Comparison::Less)), self.context.before)?;
        self.give(before, sink)?;
        match bound(Comparison::AtLeast) {
            Some(bound) => self.earlier(&within(Some(bound)), sink),
            None => Ok(()),
        }
    }

    /// So many of the newest lines of a filter, the oldest of them first.
    fn newest(&self, filter: &Filter, most: usize) -> Result<Vec<Entry>, Stop> {
        let lines = self.store.lines(filter, Order::Backward).take(most);
        let mut lines = lines.collect::<Result<Vec<_>, _>>()?;
        lines.reverse();
        Ok(lines)
    }

    fn give(&mut self, entries: Vec<Entry>, sink: &Sink) -> Result<(), Stop> {
        for entry in &entries {
            self.position.mark_line(&entry.document);
        }
        sink.earlier(entries)
    }

    /// Gives what has come since the round before.
    fn round(&mut self, sink: &Sink) -> Result<(), Stop> {
        let begun = Instant::now();
        let reach = if self.far.elapsed() < FAR_PAUSE {
            Reach::Usual
        } else {
            Reach::Far
        };
        self.position.begin(reach);
        if self.outage.is_on() || self.gaps.is_due() {
            self.gaps.look(&self.store, &self.position)?;
            self.outage.over(sink)?;
        }
        if self.wanted.depends() {
            let more = self.store.learn(&self.wanted, &self.position)?;
            self.outage.over(sink)?;
            self.widen(more, sink)?;
        }
        let filter = self.filter(&self.known);
        let mut pages = self.store.recent(&filter, &self.position);
        while let Some(page) = pages.next(&self.store)? {
            self.outage.over(sink)?;
            for ids in self.position.unknown(&page).chunks(BATCH) {
                let lines = self.store.fetch(ids, &self.position)?;
                let (ids, mut entries): (Vec<_>, Vec<Entry>) = lines.into_iter().unzip();
                // Others would be remembered for when more is known, and
                // given a second time by `widen`.
                entries.retain(|entry| filter.matches(&entry.document));
                for (id, taken) in ids {
                    self.position.mark(id, taken);
                }
                sink.lines(entries)?;
            }
        }
        for gap in self.gaps.told(pages.now()) {
            sink.note(gap)?;
        }
        if let Some(back) = self.position.advance(pages.now()) {
            sink.note(format!(
                "OpenSearch's clock was set back by {} s: lines that came shortly before may be shown again",
                back / 1_000
            ))?;
        }
        if reach == Reach::Far {
            self.far = begun;
        }
        Ok(())
    }

    /// Takes in what was learnt, and gives the lines from before that are
    /// wanted since.
    fn widen(&mut self, more: Known, sink: &Sink) -> Result<(), Stop> {
        let mut known = self.known.clone();
        let traces: Vec<String> = more.traces.difference(&known.traces).cloned().collect();
        if !known.join(more) {
            return Ok(());
        }
        // Whoever wants lines around others has all lines of the scope.
        let entries = if self.context.is_wanted() {
            Vec::new()
        } else {
            let since = if self.wanted.span.since.is_some() {
                Filter::EVERYTHING
            } else {
                self.position.since_the_beginning(&traces)
            };
            let old = self.wanted.filter(&self.known).negated();
            let back = Filter::All(vec![self.wanted.filter(&known), old, since]);
            let lines = self.store.lines(&back, Order::Forward);
            lines.collect::<Result<Vec<_>, _>>()?
        };
        for entry in &entries {
            self.position.mark_line(&entry.document);
        }
        sink.learnt(known.clone())?;
        self.known = known;
        sink.lines(entries)
    }
}

impl Feed for Follower {
    fn follow(mut self: Box<Self>, sink: &Sink) -> Result<(), Stop> {
        self.begin(sink)?;
        loop {
            let begun = Instant::now();
            let round = self.round(sink);
            for note in self.store.client().notes() {
                sink.note(note)?;
            }
            match round {
                Ok(()) => {
                    let pause = begun.elapsed().saturating_mul(2);
                    sink.wait(pause.clamp(PAUSE, LONGEST_PAUSE))?;
                }
                Err(Stop::Failed(SearchError::OpenSearch(error))) if error.is_passing() => {
                    self.outage.wait(&error, sink)?;
                }
                Err(stop) => return Err(stop),
            }
        }
    }
}
