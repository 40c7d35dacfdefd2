//! Merges several sources by time.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use log_normalizer::Time;

use crate::entry::Timed;

/// Merges the lines of several sources by time. Keeps the order within each source: an older line directly follows its
/// predecessor. Filtered lines do not count.
pub struct Merged<R, T, E> {
    readers: Vec<R>,
    next: Vec<Option<T>>,
    /// By time, then by source number.
    order: BinaryHeap<Reverse<(Time, usize)>>,
    /// The time of the last line of each source.
    reached: Vec<Time>,
    errors: VecDeque<E>,
    is_started: bool,
    /// The source of the last returned line.
    given: Option<usize>,
}

impl<T: Timed, E, R: Iterator<Item = Result<T, E>>> Merged<R, T, E> {
    #[must_use]
    pub fn new(readers: Vec<R>) -> Self {
        Self {
            next: readers.iter().map(|_| None).collect(),
            reached: readers.iter().map(|_| Time::from_nanos(0)).collect(),
            readers,
            order: BinaryHeap::new(),
            errors: VecDeque::new(),
            is_started: false,
            given: None,
        }
    }

    fn advance(&mut self, source: usize) {
        let Some(reader) = self.readers.get_mut(source) else {
            return;
        };
        // Continue after an error.
        let entry = loop {
            match reader.next() {
                Some(Ok(entry)) => break entry,
                Some(Err(error)) => self.errors.push_back(error),
                None => return,
            }
        };
        if let (Some(reached), Some(next)) = (self.reached.get_mut(source), self.next.get_mut(source)) {
            // A line without a time belongs to its predecessor.
            *reached = entry.time().unwrap_or(*reached).max(*reached);
            self.order.push(Reverse((*reached, source)));
            *next = Some(entry);
        }
    }
}

impl<T: Timed, E, R: Iterator<Item = Result<T, E>>> Iterator for Merged<R, T, E> {
    type Item = Result<T, E>;

    fn next(&mut self) -> Option<Self::Item> {
        if !std::mem::replace(&mut self.is_started, true) {
            for source in 0..self.readers.len() {
                self.advance(source);
            }
        }
        // Not earlier: the source may block.
        if let Some(source) = self.given.take() {
            self.advance(source);
        }
        if let Some(error) = self.errors.pop_front() {
            return Some(Err(error));
        }
        let Reverse((_, source)) = self.order.pop()?;
        let entry = self.next.get_mut(source)?.take()?;
        self.given = Some(source);
        Some(Ok(entry))
    }
}
