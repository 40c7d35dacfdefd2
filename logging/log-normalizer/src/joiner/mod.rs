//! Joins lines that belong together: the parts of a long line, which the runtime wrote, and stack traces.

mod trace;

use std::{borrow::Cow, time::Duration};

use schema::MAX_CONTENT_BYTES;

use self::trace::{Trace, TraceState};
use crate::{
    Stream, Time,
    cri::{Cri, without_return},
};

/// How long a follower waits for the rest of a line, from its last part.
pub const PARTIAL_WAIT: Duration = Duration::from_secs(5);

/// Maximum time between two lines of a stack trace.
pub const TRACE_WAIT: Duration = Duration::from_secs(1);

/// Maximum number of lines of one stack trace.
pub const MAX_TRACE_LINES: usize = 500;

/// Maximum size of one stack trace with its newlines, bytes.
pub const MAX_TRACE_BYTES: usize = 256 * 1024;

/// One line of a program, with the facts that its source knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawLine<'a> {
    /// The program's text, without its last newline.
    pub content: Cow<'a, [u8]>,
    /// Time at which the runtime read the first part.
    pub time: Option<Time>,
    pub stream: Option<Stream>,
    /// Position in the source, bytes.
    pub offset: u64,
    /// Whether the end is missing because the line was too long.
    pub cut: bool,
    /// Whether the line is in a pod's log file, but does not have the runtime's format.
    pub unmatched: bool,
}

impl<'a> RawLine<'a> {
    /// A line without time and stream. A carriage return at its end is part of the line's end.
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

    /// A line that [`timestamped`](crate::timestamped) split; its stream is unknown.
    #[must_use]
    pub const fn timed(time: Time, content: &'a [u8], offset: u64) -> Self {
        let mut line = Self::of(content, offset);
        line.time = Some(time);
        line
    }

    /// A line of a pod's log file without the runtime's format; `read` is the time of reading.
    #[must_use]
    pub fn unmatched(content: &'a [u8], read: Option<Time>, offset: u64) -> Self {
        let mut line = Self::plain(content, offset);
        line.time = read;
        line.unmatched = true;
        line
    }

    /// The same line with its own content.
    #[must_use]
    pub fn into_owned(self) -> RawLine<'static> {
        RawLine {
            content: Cow::Owned(self.content.into_owned()),
            ..self
        }
    }
}

/// Joins the lines of one container.
///
/// Buffers only lines that may continue: the first part of a line, and a line that may begin a stack trace, at most
/// [`MAX_CONTENT_BYTES`] and [`MAX_TRACE_BYTES`] for each stream. It passes on every byte, except those of a line beyond
/// [`MAX_CONTENT_BYTES`].
#[derive(Debug, Default)]
pub struct Joiner {
    /// Of an unknown stream, standard output, standard error.
    lanes: [Lane; 3],
}

impl Joiner {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one line or, with `partial`, a part of a line that continues in the stream's next one. Passes on complete lines,
    /// in order within their stream.
    ///
    /// `now` is a monotonic clock with any start. Callers that never call [`Self::expire`] may pass zero.
    pub fn push(
        &mut self,
        line: RawLine<'_>,
        partial: bool,
        now: Duration,
        out: &mut dyn FnMut(RawLine<'_>),
    ) {
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

    /// Passes on lines that have waited too long.
    pub fn expire(&mut self, now: Duration, out: &mut dyn FnMut(RawLine<'_>)) {
        for lane in &mut self.lanes {
            if lane.partial_due().is_some_and(|due| due <= now) {
                lane.end_partial(now, out);
            }
            if lane.trace_due().is_some_and(|due| due <= now) {
                lane.end_trace(out);
            }
        }
    }

    /// Passes on all lines, at the end of the source.
    pub fn flush(&mut self, out: &mut dyn FnMut(RawLine<'_>)) {
        for lane in &mut self.lanes {
            lane.end_partial(Duration::ZERO, out);
            lane.end_trace(out);
        }
    }

    /// When to call [`Self::expire`], by the clock of `now`; None if no line waits.
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
    line: RawLine<'static>,
    since: Duration,
}

impl Lane {
    fn partial_due(&self) -> Option<Duration> {
        self.partial.as_ref().map(|partial| partial.since + PARTIAL_WAIT)
    }

    fn trace_due(&self) -> Option<Duration> {
        self.trace.as_ref().map(|trace| trace.since + TRACE_WAIT)
    }

    fn push(&mut self, line: RawLine<'_>, partial: bool, now: Duration, out: &mut dyn FnMut(RawLine<'_>)) {
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
                    line: RawLine {
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

    fn end_partial(&mut self, now: Duration, out: &mut dyn FnMut(RawLine<'_>)) {
        if let Some(partial) = self.partial.take() {
            self.whole(partial.line, now, out);
        }
    }

    fn end_trace(&mut self, out: &mut dyn FnMut(RawLine<'_>)) {
        if let Some(trace) = self.trace.take() {
            trace.into_lines().for_each(out);
        }
    }

    /// A line with all its parts.
    fn whole(&mut self, line: RawLine<'_>, now: Duration, out: &mut dyn FnMut(RawLine<'_>)) {
        if let Some(trace) = &mut self.trace {
            if trace.takes(&line, now) {
                return;
            }
            self.end_trace(out);
        }
        match TraceState::begun_by(&line.content) {
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
