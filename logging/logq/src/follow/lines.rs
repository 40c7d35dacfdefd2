//! The loop.

use std::{
    io::{self, ErrorKind, Write},
    sync::mpsc::{Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use super::{Feed, Sink, Stop, recall::Recall, sink::Event, stop::on_signals, window::Window};
use crate::{
    cli::Search,
    filter::Filter,
    plan::{Known, Wanted},
    render::Renderer,
    search::{Context, Outcome, SearchError, write},
    source::Entry,
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
    let mut lines = Lines {
        known: Known::default(),
        filter: wanted.filter(&Known::default()),
        wanted,
        context: Context::of(&search.show),
        window: Window::new(search.show.order_window),
        recall: Recall::default(),
        left: search.show.limit.unwrap_or(usize::MAX),
        shown: 0,
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
    window: Window,
    recall: Recall,
    /// So many lines are still to be shown.
    left: usize,
    shown: u64,
    out: Renderer<W>,
    told: Told<'l>,
}

impl<W: Write> Lines<'_, W> {
    fn follow(&mut self, sink: &Sink, events: &Receiver<Event>) -> Result<End, SearchError> {
        if self.left == 0 {
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
                    if self.is_candidate(&entry) {
                        self.window.push_earlier(entry, now);
                    } else {
                        self.keep(entry, now);
                    }
                }
            }
            Event::Lines(entries) => {
                for entry in entries {
                    self.learn_from(&entry, now);
                    if self.is_candidate(&entry) {
                        self.window.push(entry, now);
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
                self.window.push(entry, now);
            }
        }
    }

    /// Shows lines; returns whether no more are to be shown.
    fn show(&mut self, entries: Vec<Entry>, is_over: &dyn Fn() -> bool) -> io::Result<bool> {
        if entries.is_empty() || self.left == 0 {
            return Ok(false);
        }
        for entry in entries {
            // Around a line are others of the same scope only.
            let found = !self.context.is_wanted() || self.filter.matches(&entry.document);
            for line in self.context.take(entry, found) {
                write(&line, &mut self.out)?;
                if line.found {
                    self.shown += 1;
                    self.left -= 1;
                }
                if self.left == 0 {
                    self.out.flush()?;
                    return Ok(true);
                }
            }
            if is_over() {
                break;
            }
        }
        self.out.flush()?;
        Ok(false)
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
        let held = self.window.release_all();
        self.show(held, &|| false)?;
        self.out.finish()?;
        if !matches!(end, End::Feed(_)) {
            goodbye(events);
        }
        match end {
            End::Feed(Err(Stop::Failed(error))) => Err(error),
            _ => Ok(Outcome {
                found: self.shown,
                shown: self.shown,
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
