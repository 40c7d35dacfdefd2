//! Lines that the runtime or the program has taken apart are put together:
//! parts of one long line, and the lines of a stack trace.

mod trace;

use std::{borrow::Cow, time::Duration};

use schema::MAX_CONTENT_BYTES;

use self::trace::{State, Trace};
use crate::{
    Stream, Time,
    cri::{Cri, without_return},
};

/// How long the rest of a line is waited for by who follows, from its last part.
pub const PARTIAL_WAIT: Duration = Duration::from_secs(5);

/// How long the next line of a stack trace may take.
pub const TRACE_WAIT: Duration = Duration::from_secs(1);

/// Most lines of one stack trace.
pub const MAX_TRACE_LINES: usize = 500;

/// Most bytes of one stack trace, with its newlines.
pub const MAX_TRACE_BYTES: usize = 256 * 1024;

/// One line of a program, with what is known of it beside its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// What the program wrote, without its newline; those within a stack
    /// trace are kept.
    pub content: Cow<'a, [u8]>,
    /// When the runtime read its first part.
    pub time: Option<Time>,
    /// Where the program wrote it.
    pub stream: Option<Stream>,
    /// Where it begins in its source, bytes.
    pub offset: u64,
    /// Whether its end is missing, because it was too long.
    pub cut: bool,
    /// Whether it stands in a pod's file, but the kubelet did not write it.
    pub unmatched: bool,
}

impl<'a> Line<'a> {
    /// A line of which nothing else is known. A carriage return at its end is
    /// the end of a line too.
    #[must_use]
    pub fn plain(content: &'a [u8], offset: u64) -> Self {
        Self::of(without_return(content), offset)
    }

    const fn of(content: &'a [u8], offset: u64) -> Self {
        Self {
            content: Cow::Borrowed(content),
            time: None,
            stream: None,
            offset,
            cut: false,
            unmatched: false,
        }
    }

    /// The content of a pod's file's line.
    #[must_use]
    pub const fn cri(cri: &Cri<'a>, offset: u64) -> Self {
        let mut line = Self::timed(cri.time, cri.content, offset);
        line.stream = Some(cri.stream);
        line
    }

    /// What [`timestamped`](crate::timestamped) has split. Nobody knows of
    /// which stream it was.
    #[must_use]
    pub const fn timed(time: Time, content: &'a [u8], offset: u64) -> Self {
        let mut line = Self::of(content, offset);
        line.time = Some(time);
        line
    }

    /// A line of a pod's file that is none of the kubelet's; `read` is when
    /// it was read.
    #[must_use]
    pub fn unmatched(content: &'a [u8], read: Option<Time>, offset: u64) -> Self {
        let mut line = Self::plain(content, offset);
        line.time = read;
        line.unmatched = true;
        line
    }

    /// The same line, to keep.
    #[must_use]
    pub fn into_owned(self) -> Line<'static> {
        Line {
            content: Cow::Owned(self.content.into_owned()),
            ..self
        }
    }
}

/// Joins the lines of one container.
///
/// Only what may go on is held: the first part of a line, and a line that
/// begins a stack trace; at most [`MAX_CONTENT_BYTES`] and
/// [`MAX_TRACE_BYTES`] for each stream. Every byte that goes in comes out,
/// unless its line is longer than [`MAX_CONTENT_BYTES`].
#[derive(Debug, Default)]
pub struct Joiner {
    /// Of an unknown stream, standard output, standard error.
    lanes: [Lane; 3],
}

impl Joiner {
    /// Holds nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one line or, with `partial`, a part of one that goes on in the
    /// stream's next; gives on what is complete, in order within its stream.
    ///
    /// `now` is a clock that only goes forward, from any beginning; what
    /// never calls [`Self::expire`] may leave it at zero.
    pub fn push(&mut self, line: Line<'_>, partial: bool, now: Duration, out: &mut dyn FnMut(Line<'_>)) {
        if line.unmatched {
            return out(line);
        }
        let lane = match line.stream {
            None => 0,
            Some(Stream::Stdout) => 1,
            Some(Stream::Stderr) => 2,
        };
        self.lanes[lane].push(line, partial, now, out);
    }

    /// Gives on what has been held too long.
    pub fn expire(&mut self, now: Duration, out: &mut dyn FnMut(Line<'_>)) {
        for lane in &mut self.lanes {
            if lane.partial_due().is_some_and(|due| due <= now) {
                lane.end_partial(now, out);
            }
            if lane.trace_due().is_some_and(|due| due <= now) {
                lane.end_trace(out);
            }
        }
    }

    /// Gives on all that is held: the source has ended.
    pub fn flush(&mut self, out: &mut dyn FnMut(Line<'_>)) {
        for lane in &mut self.lanes {
            lane.end_partial(Duration::ZERO, out);
            lane.end_trace(out);
        }
    }

    /// When [`Self::expire`] has something to do, by the clock of `now`; None
    /// when nothing is held.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        self.lanes
            .iter()
            .flat_map(|lane| [lane.partial_due(), lane.trace_due()])
            .flatten()
            .min()
    }
}

/// One stream of a container.
#[derive(Debug, Default)]
struct Lane {
    partial: Option<Partial>,
    trace: Option<Trace>,
}

#[derive(Debug)]
struct Partial {
    line: Line<'static>,
    since: Duration,
}

impl Lane {
    fn partial_due(&self) -> Option<Duration> {
        self.partial.as_ref().map(|partial| partial.since + PARTIAL_WAIT)
    }

    fn trace_due(&self) -> Option<Duration> {
        self.trace.as_ref().map(|trace| trace.since + TRACE_WAIT)
    }

    fn push(&mut self, line: Line<'_>, partial: bool, now: Duration, out: &mut dyn FnMut(Line<'_>)) {
        match (self.partial.as_mut(), partial) {
            (Some(held), _) => {
                held.append(&line.content);
                held.since = now;
                if !partial {
                    self.end_partial(now, out);
                }
            }
            (None, true) => {
                let mut held = Partial {
                    line: Line {
                        content: Cow::Owned(Vec::new()),
                        ..line
                    },
                    since: now,
                };
                held.append(&line.content);
                self.partial = Some(held);
            }
            (None, false) => self.whole(line, now, out),
        }
    }

    fn end_partial(&mut self, now: Duration, out: &mut dyn FnMut(Line<'_>)) {
        if let Some(partial) = self.partial.take() {
            self.whole(partial.line, now, out);
        }
    }

    fn end_trace(&mut self, out: &mut dyn FnMut(Line<'_>)) {
        if let Some(trace) = self.trace.take() {
            out(trace.line);
        }
    }

    /// A line with all its parts.
    fn whole(&mut self, line: Line<'_>, now: Duration, out: &mut dyn FnMut(Line<'_>)) {
        if let Some(trace) = &mut self.trace {
            if trace.takes(&line, now) {
                return;
            }
            self.end_trace(out);
        }
        match State::begun_by(&line.content) {
            Some(state) if !line.cut && line.content.len() <= MAX_TRACE_BYTES => {
                self.trace = Some(Trace::new(line.into_owned(), state, now));
            }
            _ => out(line),
        }
    }
}

impl Partial {
    fn append(&mut self, part: &[u8]) {
        let content = self.line.content.to_mut();
        let room = MAX_CONTENT_BYTES - content.len().min(MAX_CONTENT_BYTES);
        content.extend_from_slice(&part[..part.len().min(room)]);
        self.line.cut |= part.len() > room;
    }
}

#[cfg(test)]
mod tests;
