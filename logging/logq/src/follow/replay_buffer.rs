//! Lines that did not match, but may match once the context grows.
//!
//! A line that names both photo and trace adds the trace to the context. Earlier lines of that trace, for example the
//! database's, have already passed.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{entry::Entry, filter::Filter};

const MAX_AGE: Duration = Duration::from_secs(60);

const MAX_LINES: usize = 10_000;

#[derive(Default)]
pub struct ReplayBuffer(VecDeque<(Instant, Entry)>);

impl ReplayBuffer {
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

    /// Removes and returns the lines that match now.
    pub fn take_matching(&mut self, filter: &Filter) -> Vec<Entry> {
        let (found, others) = std::mem::take(&mut self.0)
            .into_iter()
            .partition::<VecDeque<_>, _>(|(_, entry)| filter.matches(&entry.document));
        self.0 = others;
        found.into_iter().map(|(_, entry)| entry).collect()
    }
}
