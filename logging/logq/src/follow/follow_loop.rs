//! The main loop of `--follow`.

use std::{
    io::{self, ErrorKind, Write},
    sync::mpsc::{Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use log_normalizer::Time;

use super::{reorder_buffer::ReorderBuffer, replay_buffer::ReplayBuffer, shutdown::cancel_on_signals};
use crate::{
    entry::{Entry, Timed},
    filter::Filter,
    query::{Query, ResolvedContext},
    render::Renderer,
    search::{LineLimit, RunReport, SearchError, SearchOptions, Selection, SelectionWriter},
    source::{Backlog, ContextLines, Event, Feed, FeedEnd, FeedSink},
};

/// How often to check that the reader is still there.
const READER_CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// Time for the feed to finish.
const FEED_GRACE: Duration = Duration::from_millis(300);

/// Where to report status, and how to detect that the reader is gone.
pub struct StatusSink<'t> {
    /// Prints a message at once.
    pub report: &'t mut dyn FnMut(&str),
    pub is_reader_gone: &'t dyn Fn() -> bool,
}

/// Shows lines until a signal, a closed output, `--limit`, or the end of the feed.
///
/// # Errors
/// The feed's error, or an I/O error of the output.
pub fn run<'l, W: Write>(
    search: &SearchOptions,
    query: &'l Query,
    feed: Box<dyn Feed>,
    out: Renderer<W>,
    status_sink: StatusSink<'l>,
) -> Result<RunReport, SearchError> {
    let (sink, events) = FeedSink::new();
    cancel_on_signals(sink.clone()).map_err(SearchError::System)?;
    let feed_sink = sink.clone();
    thread::Builder::new()
        .name("feed".to_owned())
        .spawn(move || {
            let result = feed.follow(&feed_sink);
            feed_sink.finish(result);
        })
        .map_err(SearchError::System)?;
    let context_lines = search.show.context_lines();
    let tail = match search.backlog() {
        Backlog::All => None,
        Backlog::Last(most) => Some(Selection::new(LineLimit::Last(most), context_lines)),
    };
    let mut follow_loop = FollowLoop {
        context: ResolvedContext::default(),
        filter: query.filter(&ResolvedContext::default()),
        query,
        is_resolved: false,
        context_lines,
        tail,
        reorder_buffer: ReorderBuffer::new(search.show.order_window),
        replay_buffer: ReplayBuffer::default(),
        selection: Selection::new(
            search.show.limit.map_or(LineLimit::All, LineLimit::First),
            context_lines,
        ),
        writer: SelectionWriter::new(context_lines),
        out,
        status_sink,
    };
    let ended = follow_loop.run(&sink, &events);
    sink.cancel();
    follow_loop.finish(&events, ended)
}

enum LoopEnd {
    /// A signal, or all requested lines are shown.
    Stopped,
    Feed(Result<(), FeedEnd>),
}

struct FollowLoop<'l, W> {
    query: &'l Query,
    context: ResolvedContext,
    /// The feed has sent what the source knows about the context.
    is_resolved: bool,
    /// The query, with the current context applied.
    filter: Filter,
    context_lines: ContextLines,
    /// Selects the last existing lines, until all of them have arrived.
    tail: Option<Selection>,
    reorder_buffer: ReorderBuffer<DelayedLine>,
    replay_buffer: ReplayBuffer,
    selection: Selection,
    writer: SelectionWriter,
    out: Renderer<W>,
    status_sink: StatusSink<'l>,
}

struct DelayedLine {
    entry: Entry,
    /// Only context of a match.
    is_context: bool,
    /// Lines before it were omitted.
    follows_gap: bool,
}

impl From<Entry> for DelayedLine {
    fn from(entry: Entry) -> Self {
        Self {
            entry,
            is_context: false,
            follows_gap: false,
        }
    }
}

impl Timed for DelayedLine {
    fn time(&self) -> Option<Time> {
        self.entry.time()
    }
}

impl<W: Write> FollowLoop<'_, W> {
    fn run(&mut self, sink: &FeedSink, events: &Receiver<Event>) -> Result<LoopEnd, SearchError> {
        if self.selection.is_complete() {
            return Ok(LoopEnd::Stopped);
        }
        let mut last_check = Instant::now();
        loop {
            let now = Instant::now();
            let due = self.reorder_buffer.next_due();
            let wait = due.map_or(READER_CHECK_INTERVAL, |due| {
                due.saturating_duration_since(now).min(READER_CHECK_INTERVAL)
            });
            match events.recv_timeout(wait) {
                Ok(Event::Signal) => return Ok(LoopEnd::Stopped),
                Ok(Event::Ended(result)) => return Ok(LoopEnd::Feed(result)),
                Ok(event) => self.take(event)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(LoopEnd::Feed(Ok(()))),
            }
            let due_lines = self.reorder_buffer.pop_due(Instant::now());
            if self.show(due_lines, &|| sink.is_cancelled())? || sink.is_cancelled() {
                return Ok(LoopEnd::Stopped);
            }
            if last_check.elapsed() >= READER_CHECK_INTERVAL {
                last_check = Instant::now();
                if (self.status_sink.is_reader_gone)() {
                    return Err(SearchError::Output(ErrorKind::BrokenPipe.into()));
                }
            }
        }
    }

    fn take(&mut self, event: Event) -> io::Result<()> {
        let now = Instant::now();
        match event {
            Event::Past(entries) => {
                for entry in entries {
                    self.learn_from(&entry, now);
                    let is_match = self.filter.select(&entry.document);
                    match &mut self.tail {
                        _ if !is_match && !self.context_lines.is_wanted() => self.remember(entry, now),
                        // The last lines are known when all have arrived.
                        Some(tail) => drop(tail.take(entry, is_match)),
                        None => self.reorder_buffer.push_past(entry.into(), now),
                    }
                }
            }
            Event::PastEnd => self.end_past(now),
            Event::New(entries) => {
                for entry in entries {
                    self.learn_from(&entry, now);
                    if self.may_be_shown(&entry) {
                        self.reorder_buffer.push(entry.into(), now);
                    } else {
                        self.remember(entry, now);
                    }
                }
            }
            Event::Context(context) => {
                self.learn(context, now);
                if !std::mem::replace(&mut self.is_resolved, true)
                    && let Some(note) = self.query.unknown_dependencies(&self.context)
                {
                    self.print_note(&note)?;
                }
            }
            Event::Note(text) => self.print_note(&text)?,
            Event::Ended(_) | Event::Signal => {}
        }
        Ok(())
    }

    /// Whether a line may be shown. Context lines are known only after sorting.
    fn may_be_shown(&self, entry: &Entry) -> bool {
        self.context_lines.is_wanted() || self.filter.select(&entry.document)
    }

    fn remember(&mut self, entry: Entry, now: Instant) {
        if self.query.needs_context() {
            self.replay_buffer.push(entry, now);
        }
    }

    fn learn_from(&mut self, entry: &Entry, now: Instant) {
        if self.query.needs_context() {
            let mut context = ResolvedContext::default();
            context.learn_from(self.query, &entry.document);
            self.learn(context, now);
        }
    }

    fn learn(&mut self, more: ResolvedContext, now: Instant) {
        if self.context.merge(more) {
            self.filter = self.query.filter(&self.context);
            for entry in self.replay_buffer.take_matching(&self.filter) {
                self.reorder_buffer.push(entry.into(), now);
            }
        }
    }

    /// Moves the selected existing lines to the reorder buffer.
    fn end_past(&mut self, now: Instant) {
        let Some(tail) = self.tail.take() else { return };
        let mut last = None;
        for line in tail.finish_with_recent() {
            let previous = last.replace(line.number);
            let line = DelayedLine {
                entry: line.line,
                is_context: !line.found,
                follows_gap: previous.is_some_and(|previous| line.number - previous > 1),
            };
            self.reorder_buffer.push_past(line, now);
        }
    }

    /// Shows lines; returns whether the selection is complete.
    fn show(&mut self, lines: Vec<DelayedLine>, is_cancelled: &dyn Fn() -> bool) -> io::Result<bool> {
        if lines.is_empty() {
            return Ok(false);
        }
        for line in lines {
            if line.follows_gap {
                self.selection.skip();
            }
            // Context lines must be in the same scope.
            let is_match = !self.context_lines.is_wanted() || self.filter.matches(&line.entry.document);
            for line in self.selection.take(line.entry, is_match && !line.is_context) {
                self.writer.write(&line, &mut self.out)?;
            }
            if self.selection.is_complete() || is_cancelled() {
                break;
            }
        }
        self.out.flush()?;
        Ok(self.selection.is_complete())
    }

    fn print_note(&mut self, text: &str) -> io::Result<()> {
        self.out.flush()?;
        let time = self.out.style().time_of_day();
        (self.status_sink.report)(&format!("{time} {text}"));
        Ok(())
    }

    /// Shows the buffered lines, and completes the output format.
    fn finish(
        mut self,
        events: &Receiver<Event>,
        ended: Result<LoopEnd, SearchError>,
    ) -> Result<RunReport, SearchError> {
        let end = ended?;
        self.end_past(Instant::now());
        let pending = self.reorder_buffer.drain();
        self.show(pending, &|| false)?;
        self.out.finish()?;
        if !matches!(end, LoopEnd::Feed(_)) {
            await_feed_end(events);
        }
        match end {
            LoopEnd::Feed(Err(FeedEnd::Failed(error))) => Err(error.into()),
            _ => Ok(RunReport {
                found: self.writer.found,
                shown: self.writer.found,
                notes: self.query.left_out.notes().collect(),
                ..RunReport::default()
            }),
        }
    }
}

fn await_feed_end(events: &Receiver<Event>) {
    let until = Instant::now() + FEED_GRACE;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match events.recv_timeout(left) {
            Ok(Event::Ended(_)) | Err(_) => return,
            Ok(_) => {}
        }
    }
}
