//! The loop.

use std::{
    io::{self, ErrorKind, Write},
    sync::mpsc::{Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use line::Time;

use super::{Feed, Past, Sink, Stop, recall::Recall, sink::Event, stop::on_signals, window::Window};
use crate::{
    cli::Search,
    filter::Filter,
    plan::{Known, Wanted},
    render::Renderer,
    search::{Context, Outcome, Part, SearchError, Selection, Written},
    source::{Entry, Timed},
};

/// So often it is seen whether anybody reads.
const LOOK: Duration = Duration::from_millis(500);

/// A feed may take so long to end what it has begun.
const GOODBYE: Duration = Duration::from_millis(300);

/// Whom to tell what is no line, and whether anybody reads.
pub struct Told<'t> {
    /// Tells a person something at once.
    pub say: &'t mut dyn FnMut(&str),
    /// Whether the reader of the lines has gone.
    pub is_gone: &'t dyn Fn() -> bool,
}

/// Shows lines as they come, until a person ends it, nobody reads any more,
/// `--limit` is reached, or no more can come.
///
/// # Errors
/// What the feed failed of, and the output's.
pub fn run<'l, W: Write>(
    search: &Search,
    wanted: &'l Wanted,
    feed: Box<dyn Feed>,
    out: Renderer<W>,
    told: Told<'l>,
) -> Result<Outcome, SearchError> {
    let (sink, events) = Sink::new();
    on_signals(sink.clone()).map_err(SearchError::System)?;
    let own = sink.clone();
    thread::Builder::new()
        .name("feed".to_owned())
        .spawn(move || {
            let how = feed.follow(&own);
            own.ended(how);
        })
        .map_err(SearchError::System)?;
    let context = Context::of(&search.show);
    let tail = match Past::of(search) {
        Past::All => None,
        Past::Last(most) => Some(Selection::new(Part::Last(most), context)),
    };
    let mut lines = Lines {
        known: Known::default(),
        filter: wanted.filter(&Known::default()),
        wanted,
        context,
        tail,
        window: Window::new(search.show.order_window),
        recall: Recall::default(),
        selection: Selection::new(search.show.limit.map_or(Part::All, Part::First), context),
        written: Written::new(context),
        out,
        told,
    };
    let ended = lines.follow(&sink, &events);
    sink.end();
    lines.finish(&events, ended)
}

/// Why it is over.
enum End {
    /// A person wants it, or all is shown that was asked for.
    Wanted,
    /// The feed has ended.
    Feed(Result<(), Stop>),
}

struct Lines<'l, W> {
    wanted: &'l Wanted,
    known: Known,
    /// What is wanted, by what is known.
    filter: Filter,
    context: Context,
    /// The last of the lines that were there before, until all of them have come.
    tail: Option<Selection>,
    window: Window<Line>,
    recall: Recall,
    selection: Selection,
    written: Written,
    out: Renderer<W>,
    told: Told<'l>,
}

/// A line that can be shown.
struct Line {
    entry: Entry,
    /// Whether it can only stand around another.
    is_around: bool,
    /// Whether lines before it were left out.
    follows_gap: bool,
}

impl From<Entry> for Line {
    fn from(entry: Entry) -> Self {
        Self {
            entry,
            is_around: false,
            follows_gap: false,
        }
    }
}

impl Timed for Line {
    fn time(&self) -> Option<Time> {
        self.entry.time()
    }
}

impl<W: Write> Lines<'_, W> {
    fn follow(&mut self, sink: &Sink, events: &Receiver<Event>) -> Result<End, SearchError> {
        if self.selection.is_complete() {
            return Ok(End::Wanted);
        }
        let mut looked = Instant::now();
        loop {
            let now = Instant::now();
            let due = self.window.next_due();
            let wait = due.map_or(LOOK, |due| due.saturating_duration_since(now).min(LOOK));
            match events.recv_timeout(wait) {
                Ok(Event::Signal) => return Ok(End::Wanted),
                Ok(Event::Ended(how)) => return Ok(End::Feed(how)),
                Ok(event) => self.take(event)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(End::Feed(Ok(()))),
            }
            let ripe = self.window.release(Instant::now());
            if self.show(ripe, &|| sink.is_over())? || sink.is_over() {
                return Ok(End::Wanted);
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                if (self.told.is_gone)() {
                    return Err(SearchError::Output(ErrorKind::BrokenPipe.into()));
                }
            }
        }
    }

    fn take(&mut self, event: Event) -> io::Result<()> {
        let now = Instant::now();
        match event {
            Event::Earlier(entries) => {
                for entry in entries {
                    self.learn_from(&entry, now);
                    let is_match = self.filter.matches(&entry.document);
                    match &mut self.tail {
                        _ if !is_match && !self.context.is_wanted() => self.keep(entry, now),
                        // What the last lines are is known when all have come.
                        Some(tail) => drop(tail.take(entry, is_match)),
                        None => self.window.push_earlier(entry.into(), now),
                    }
                }
            }
            Event::CaughtUp => self.end_tail(now),
            Event::Lines(entries) => {
                for entry in entries {
                    self.learn_from(&entry, now);
                    if self.is_candidate(&entry) {
                        self.window.push(entry.into(), now);
                    } else {
                        self.keep(entry, now);
                    }
                }
            }
            Event::Learnt(known) => self.learn(known, now),
            Event::Note(text) => self.say(&text)?,
            Event::Ended(_) | Event::Signal => {}
        }
        Ok(())
    }

    /// Whether a line can be shown. Which of them stand around others is
    /// known when they are in order.
    fn is_candidate(&self, entry: &Entry) -> bool {
        self.context.is_wanted() || self.filter.matches(&entry.document)
    }

    fn keep(&mut self, entry: Entry, now: Instant) {
        if self.wanted.depends() {
            self.recall.keep(entry, now);
        }
    }

    fn learn_from(&mut self, entry: &Entry, now: Instant) {
        if self.wanted.depends() {
            let mut known = Known::default();
            known.learn(self.wanted, &entry.document);
            self.learn(known, now);
        }
    }

    fn learn(&mut self, more: Known, now: Instant) {
        if self.known.join(more) {
            self.filter = self.wanted.filter(&self.known);
            for entry in self.recall.take(&self.filter) {
                self.window.push(entry.into(), now);
            }
        }
    }

    /// Takes the last of the lines that were there before.
    fn end_tail(&mut self, now: Instant) {
        let Some(tail) = self.tail.take() else { return };
        let mut last = None;
        for line in tail.finish_with_recent() {
            let before = last.replace(line.number);
            let line = Line {
                entry: line.line,
                is_around: !line.found,
                follows_gap: before.is_some_and(|before| line.number - before > 1),
            };
            self.window.push_earlier(line, now);
        }
    }

    /// Shows lines; returns whether no more are to be shown.
    fn show(&mut self, lines: Vec<Line>, is_over: &dyn Fn() -> bool) -> io::Result<bool> {
        if lines.is_empty() {
            return Ok(false);
        }
        for line in lines {
            if line.follows_gap {
                self.selection.skip();
            }
            // Around a line are others of the same scope only.
            let is_match = !self.context.is_wanted() || self.filter.matches(&line.entry.document);
            for line in self.selection.take(line.entry, is_match && !line.is_around) {
                self.written.write(&line, &mut self.out)?;
            }
            if self.selection.is_complete() || is_over() {
                break;
            }
        }
        self.out.flush()?;
        Ok(self.selection.is_complete())
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        self.out.flush()?;
        let time = self.out.style().time_of_day();
        (self.told.say)(&format!("{time} {text}"));
        Ok(())
    }

    /// Shows what is held, and ends the form.
    fn finish(
        mut self,
        events: &Receiver<Event>,
        ended: Result<End, SearchError>,
    ) -> Result<Outcome, SearchError> {
        let end = ended?;
        self.end_tail(Instant::now());
        let held = self.window.release_all();
        self.show(held, &|| false)?;
        self.out.finish()?;
        if !matches!(end, End::Feed(_)) {
            goodbye(events);
        }
        match end {
            End::Feed(Err(Stop::Failed(error))) => Err(error),
            _ => Ok(Outcome {
                found: self.written.found,
                shown: self.written.found,
                ..Outcome::default()
            }),
        }
    }
}

/// Waits for the feed to end what it has begun.
fn goodbye(events: &Receiver<Event>) {
    let until = Instant::now() + GOODBYE;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match events.recv_timeout(left) {
            Ok(Event::Ended(_)) | Err(_) => return,
            Ok(_) => {}
        }
    }
}
