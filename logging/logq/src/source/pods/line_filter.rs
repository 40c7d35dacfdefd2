//! Parses and filters the lines of a container.

use std::{mem, time::Duration};

use log_normalizer::{Joiner, RawLine, Time, normalize, timestamped};
use memchr::memchr;

use super::containers::LogContainer;
use crate::{
    entry::Entry,
    filter::{Filter, Prefilter},
    kubernetes::MAX_LINE_BYTES,
};

/// How far a container was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadPosition {
    /// The runtime's time of the newest line.
    pub time: Option<Time>,
    /// All lines of that time.
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

/// Filters the lines of a container.
#[derive(Debug)]
pub struct LineFilter {
    container: LogContainer,
    filter: Filter,
    prefilter: Prefilter,
    joiner: Joiner,
    /// Lines up to here are skipped.
    read_before: ReadPosition,
    /// The current position.
    reached: ReadPosition,
    non_log_text: Option<String>,
}

impl LineFilter {
    /// Continues after `read_before`.
    #[must_use]
    pub fn new(container: &LogContainer, filter: &Filter, read_before: ReadPosition) -> Self {
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

    /// Parses whole lines; appends complete matches. `now`: the clock of [`Joiner::push`].
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
            self.line(RawLine::timed(time, content, 0), now, entries);
        }
    }

    fn line(&mut self, line: RawLine<'_>, now: Duration, entries: &mut Vec<Entry>) {
        let mut joiner = mem::take(&mut self.joiner);
        // A JSON line is never joined.
        if line.content.first() == Some(&b'{') && joiner.due().is_none() {
            self.take_if_match(&line, entries);
        } else {
            joiner.push(line, false, now, &mut |line| self.take_if_match(&line, entries));
        }
        self.joiner = joiner;
    }

    /// When [`Self::expire`] has work.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        self.joiner.due()
    }

    /// Appends lines that waited too long.
    pub fn expire(&mut self, now: Duration, entries: &mut Vec<Entry>) {
        let mut joiner = mem::take(&mut self.joiner);
        joiner.expire(now, &mut |line| self.take_if_match(&line, entries));
        self.joiner = joiner;
    }

    /// Appends all buffered lines at the end.
    pub fn flush(&mut self, entries: &mut Vec<Entry>) {
        let mut joiner = mem::take(&mut self.joiner);
        joiner.flush(&mut |line| self.take_if_match(&line, entries));
    }

    /// Takes the first line without a timestamp: a message of the kubelet.
    pub fn take_non_log_text(&mut self) -> Option<String> {
        self.non_log_text.take()
    }

    #[must_use]
    pub const fn reached(&self) -> &ReadPosition {
        &self.reached
    }

    fn take_if_match(&self, line: &RawLine<'_>, entries: &mut Vec<Entry>) {
        if !self.prefilter.may_match(line, false) {
            return;
        }
        let document = normalize(line, &self.container.origin);
        if self.filter.select(&document) {
            let raw = Some(line.content.to_vec());
            entries.push(Entry { document, raw });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_lines_are_not_read_again() {
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
