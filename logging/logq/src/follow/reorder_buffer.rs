//! Sorts lines of several origins by time.
//!
//! The buffer delays each line by the order window, counted from its arrival. A line that arrives too late is shown at
//! once; no line is lost. The delay depends on the monotonic clock of this machine; the order depends only on the times
//! of the lines.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use log_normalizer::Time;

use crate::entry::Timed;

/// Above this number, the oldest lines are shown early.
const MAX_LINES: usize = 50_000;

/// Time, then arrival order.
type Key = (Time, u64);

pub struct ReorderBuffer<T> {
    length: Duration,
    lines: BTreeMap<Key, T>,
    /// Deadlines of all lines, in arrival order. Some lines are already shown.
    due: VecDeque<(Instant, Key)>,
    /// Lines before this are due.
    watermark: Key,
    newest: Time,
    sequence: u64,
}

impl<T: Timed> ReorderBuffer<T> {
    #[must_use]
    pub const fn new(length: Duration) -> Self {
        let epoch = Time::from_nanos(0);
        Self {
            length,
            lines: BTreeMap::new(),
            due: VecDeque::new(),
            watermark: (epoch, 0),
            newest: epoch,
            sequence: 0,
        }
    }

    pub fn push(&mut self, entry: T, now: Instant) {
        // A line without a time belongs to the line before it.
        let time = entry.time().unwrap_or(self.newest);
        let key = (time, self.sequence);
        self.sequence += 1;
        self.newest = self.newest.max(time);
        self.lines.insert(key, entry);
        // A line below the watermark is due at once.
        if key >= self.watermark {
            self.due.push_back((now + self.length, key));
        }
        if self.lines.len() > MAX_LINES
            && let Some((oldest, _)) = self.lines.range(self.watermark..).next()
        {
            self.advance_watermark(*oldest);
        }
    }

    /// Adds an existing line. Existing lines arrive in order, so those older than the newest by more than the window
    /// are due.
    pub fn push_past(&mut self, entry: T, now: Instant) {
        self.push(entry, now);
        let length = i64::try_from(self.length.as_nanos()).unwrap_or(i64::MAX);
        let watermark = Time::from_nanos(self.newest.nanos().saturating_sub(length));
        self.watermark = self.watermark.max((watermark, 0));
    }

    /// Removes the due lines, oldest first.
    pub fn pop_due(&mut self, now: Instant) -> Vec<T> {
        while let Some((due, key)) = self.due.front().copied()
            && due <= now
        {
            self.due.pop_front();
            self.advance_watermark(key);
        }
        let later = self.lines.split_off(&self.watermark);
        std::mem::replace(&mut self.lines, later).into_values().collect()
    }

    /// Removes all lines, oldest first.
    pub fn drain(&mut self) -> Vec<T> {
        std::mem::take(&mut self.lines).into_values().collect()
    }

    /// The next deadline.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.due.front().map(|(due, _)| *due)
    }

    fn advance_watermark(&mut self, (time, sequence): Key) {
        self.watermark = self.watermark.max((time, sequence + 1));
    }
}

#[cfg(test)]
mod tests {
    use log_normalizer::Document;
    use serde_json::json;

    use super::*;
    use crate::entry::Entry;

    fn at(second: u32, word: &str) -> Entry {
        let time = format!("2026-11-22T10:00:{second:02}.000000000Z");
        let line = json!({ "@timestamp": time, "message": word });
        Entry {
            document: Document::try_from(line).unwrap(),
            raw: None,
        }
    }

    fn words(entries: &[Entry]) -> String {
        let words = entries.iter().map(|entry| entry.document.message());
        words.collect::<Vec<_>>().join(" ")
    }

    const LENGTH: Duration = Duration::from_secs(2);

    #[test]
    fn lines_are_released_in_time_order() {
        let mut buffer = ReorderBuffer::new(LENGTH);
        let begin = Instant::now();
        buffer.push(at(5, "b"), begin);
        buffer.push(at(4, "a"), begin + LENGTH / 2);
        buffer.push(at(6, "c"), begin + LENGTH / 2);
        assert_eq!(words(&buffer.pop_due(begin + LENGTH / 2)), "");
        assert_eq!(words(&buffer.pop_due(begin + LENGTH)), "a b");
        assert_eq!(buffer.next_due(), Some(begin + LENGTH * 3 / 2));
        assert_eq!(words(&buffer.pop_due(begin + LENGTH * 3 / 2)), "c");
    }

    #[test]
    fn late_line_is_shown_on_arrival() {
        let mut buffer = ReorderBuffer::new(LENGTH);
        let begin = Instant::now();
        buffer.push(at(5, "b"), begin);
        assert_eq!(words(&buffer.pop_due(begin + LENGTH)), "b");
        buffer.push(at(4, "a"), begin + LENGTH);
        buffer.push(at(7, "c"), begin + LENGTH);
        assert_eq!(words(&buffer.pop_due(begin + LENGTH)), "a");
        assert_eq!(words(&buffer.drain()), "c");
    }

    #[test]
    fn sort_is_stable_and_keeps_lines_without_a_time_in_place() {
        let mut buffer = ReorderBuffer::new(LENGTH);
        let begin = Instant::now();
        let none = Entry {
            document: Document::try_from(json!({ "message": "c" })).unwrap(),
            raw: None,
        };
        for entry in [at(5, "a"), at(5, "b"), none, at(6, "d")] {
            buffer.push(entry, begin);
        }
        assert_eq!(words(&buffer.pop_due(begin + LENGTH)), "a b c d");
    }

    #[test]
    fn backlog_keeps_only_the_newest_lines() {
        let mut buffer = ReorderBuffer::new(LENGTH);
        let begin = Instant::now();
        for entry in [at(1, "a"), at(6, "b"), at(8, "c")] {
            buffer.push_past(entry, begin);
        }
        assert_eq!(words(&buffer.pop_due(begin)), "a");
        buffer.push(at(7, "n"), begin);
        assert_eq!(words(&buffer.pop_due(begin + LENGTH)), "b n c");
    }

    #[test]
    fn without_a_window_lines_pass_through() {
        let mut buffer = ReorderBuffer::new(Duration::ZERO);
        let begin = Instant::now();
        buffer.push(at(5, "b"), begin);
        assert_eq!(words(&buffer.pop_due(begin)), "b");
        buffer.push(at(4, "a"), begin);
        assert_eq!(words(&buffer.pop_due(begin)), "a");
    }

    #[test]
    fn full_buffer_releases_lines_early() {
        let mut buffer = ReorderBuffer::new(LENGTH);
        let begin = Instant::now();
        for _ in 0..MAX_LINES + 3 {
            buffer.push(at(5, "x"), begin);
        }
        assert_eq!(buffer.pop_due(begin).len(), 3);
        assert_eq!(buffer.pop_due(begin + LENGTH).len(), MAX_LINES);
    }
}
