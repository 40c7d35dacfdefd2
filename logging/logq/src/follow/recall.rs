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
const KEEP: Duration = Duration::from_secs(60);

/// So many are kept at most.
const MOST: usize = 10_000;

/// Lines of the last minute that were not wanted.
#[derive(Default)]
pub struct Recall(VecDeque<(Instant, Entry)>);

impl Recall {
    /// Keeps a line for a while.
    pub fn keep(&mut self, entry: Entry, now: Instant) {
        while self.0.len() >= MOST
            || self
                .0
                .front()
                .is_some_and(|(came, _)| now.duration_since(*came) > KEEP)
        {
            self.0.pop_front();
        }
        self.0.push_back((now, entry));
    }

    /// Takes the lines that are wanted now.
    pub fn take(&mut self, wanted: &Filter) -> Vec<Entry> {
        let (found, others) = std::mem::take(&mut self.0)
            .into_iter()
            .partition::<VecDeque<_>, _>(|(_, entry)| wanted.matches(&entry.document));
        self.0 = others;
        found.into_iter().map(|(_, entry)| entry).collect()
    }
}
