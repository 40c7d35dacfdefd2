//! From what kubectl prints of a container to its lines.

use std::{mem, time::Duration};

use line::{Joiner, Line, Time, normalize, timestamped};
use memchr::memchr;

use super::pods::Container;
use crate::{
    filter::{Filter, Prefilter},
    source::{Entry, files::blocks::MAX_LINE_BYTES},
};

/// How far a container has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadPosition {
    /// The newest line's time, by the runtime.
    pub time: Option<Time>,
    /// What was written at that time.
    lines: Vec<Vec<u8>>,
}

impl ReadPosition {
    fn covers(&self, time: Time, content: &[u8]) -> bool {
        match self.time {
            Some(reached) if time == reached => self.lines.iter().any(|line| line == content),
            Some(reached) => time < reached,
            None => false,
        }
    }

    fn advance(&mut self, time: Time, content: &[u8]) {
        if self.time < Some(time) {
            self.time = Some(time);
            self.lines.clear();
        }
        if self.time == Some(time) {
            self.lines.push(content.to_owned());
        }
    }
}

/// Picks the lines that fit a filter.
#[derive(Debug)]
pub struct LineFilter {
    container: Container,
    filter: Filter,
    prefilter: Prefilter,
    joiner: Joiner,
    /// What is known already.
    read_before: ReadPosition,
    /// How far it has come.
    reached: ReadPosition,
    non_log_text: Option<String>,
}

impl LineFilter {
    /// One for a container that has been read so far.
    #[must_use]
    pub fn new(container: &Container, filter: &Filter, read_before: ReadPosition) -> Self {
        Self {
            container: container.clone(),
            filter: filter.clone(),
            prefilter: Prefilter::new(filter, &container.origin),
            joiner: Joiner::new(),
            reached: read_before.clone(),
            read_before,
            non_log_text: None,
        }
    }

    /// Takes whole lines; adds what is complete and wanted. `now` is the
    /// clock of [`Joiner::push_down`].
    pub fn take(&mut self, mut bytes: &[u8], now: Duration, entries: &mut Vec<Entry>) {
        while !bytes.is_empty() {
            let end = memchr(b'\n', bytes).unwrap_or(bytes.len());
            let line = bytes.get(..end.min(MAX_LINE_BYTES)).unwrap_or_default();
            bytes = bytes.get(end + 1..).unwrap_or_default();
            let Some((time, content)) = timestamped(line) else {
                if self.non_log_text.is_none() && !line.is_empty() {
                    self.non_log_text = Some(String::from_utf8_lossy(line).into_owned());
                }
                continue;
            };
            if self.read_before.covers(time, content) {
                continue;
            }
            self.reached.advance(time, content);
            self.line(Line::timed(time, content, 0), now, entries);
        }
    }

    fn line(&mut self, line: Line<'_>, now: Duration, entries: &mut Vec<Entry>) {
        let mut joiner = mem::take(&mut self.joiner);
        // A line of JSON goes on with nothing and nothing goes on with it.
        if line.content.first() == Some(&b'{') && joiner.due().is_none() {
            self.take_if_match(&line, entries);
        } else {
            joiner.push(line, false, now, &mut |line| self.take_if_match(&line, entries));
        }
        self.joiner = joiner;
    }

    /// When [`Self::expire`] has something to do.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        self.joiner.due()
    }

    /// Adds what has been held too long.
    pub fn expire(&mut self, now: Duration, entries: &mut Vec<Entry>) {
        let mut joiner = mem::take(&mut self.joiner);
        joiner.expire(now, &mut |line| self.take_if_match(&line, entries));
        self.joiner = joiner;
    }

    /// Adds all that is held: nothing more comes.
    pub fn flush(&mut self, entries: &mut Vec<Entry>) {
        let mut joiner = mem::take(&mut self.joiner);
        joiner.flush(&mut |line| self.take_if_match(&line, entries));
    }

    /// What stands there that is no line; told once.
    pub fn take_non_log_text(&mut self) -> Option<String> {
        self.non_log_text.take()
    }

    /// How far it has come.
    #[must_use]
    pub const fn reached(&self) -> &ReadPosition {
        &self.reached
    }

    fn take_if_match(&self, line: &Line<'_>, entries: &mut Vec<Entry>) {
        if !self.prefilter.may_match(&line.content, line.time, false) {
            return;
        }
        let document = normalize(line, &self.container.origin);
        if self.filter.matches(&document) {
            let raw = Some(line.content.to_vec());
            entries.push(Entry { document, raw });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_not_read_again() {
        let mut position = ReadPosition::default();
        let times = [1, 2, 2].map(Time::from_nanos);
        for (time, content) in times.into_iter().zip([b"a", b"b", b"c"]) {
            assert!(!position.covers(time, content));
            position.advance(time, content);
        }
        for (nanos, content, read_before) in [
            (1, b"x", true),
            (2, b"b", true),
            (2, b"c", true),
            (2, b"d", false),
            (3, b"b", false),
        ] {
            assert_eq!(
                position.covers(Time::from_nanos(nanos), content),
                read_before,
                "{nanos}"
            );
        }
    }
}
