//! What was not wanted lately, and may be once more is known.
//!
//! That a trace belongs to the photo is learnt from a line that names both;
//! the lines before it, of the database among them, have passed by then.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{filter::Filter, source::Entry};

/// So long lines are kept.
const MAX_AGE: Duration = Duration::from_secs(60);

/// So many are kept at most.
const MAX_LINES: usize = 10_000;

/// Lines of the last minute that were not wanted.
#[derive(Default)]
pub struct ReplayBuffer(VecDeque<(Instant, Entry)>);

impl ReplayBuffer {
    /// Keeps a line for a while.
    pub fn push(&mut self, entry: Entry, now: Instant) {
        while self.0.len() >= MAX_LINES
            || self
                .0
                .front()
                .is_some_and(|(received, _)| now.duration_since(*received) > MAX_AGE)
        {
            self.0.pop_front();
        }
        self.0.push_back((now, entry));
    }

    /// Takes the lines that are wanted now.
    pub fn take_matching(&mut self, filter: &Filter) -> Vec<Entry> {
        let (found, others) = std::mem::take(&mut self.0)
            .into_iter()
            .partition::<VecDeque<_>, _>(|(_, entry)| filter.matches(&entry.document));
        self.0 = others;
        found.into_iter().map(|(_, entry)| entry).collect()
    }
}
