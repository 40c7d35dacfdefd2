//! Where a feed gives what it has.

use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    time::{Duration, Instant},
};

use crate::{plan::Known, search::SearchError, source::Entry};

/// Batches that wait for the loop: then a feed waits, too.
const WAITING: usize = 16;

/// Why a feed ends.
#[derive(Debug)]
pub enum Stop {
    /// Nobody wants more.
    Over,
    /// There is no way on.
    Failed(SearchError),
}

impl<E: Into<SearchError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What the loop is told.
pub(super) enum Event {
    Earlier(Vec<Entry>),
    /// All of these have been given.
    CaughtUp,
    Lines(Vec<Entry>),
    Note(String),
    Learnt(Known),
    /// The feed has ended.
    Ended(Result<(), Stop>),
    /// A person wants it to end.
    Signal,
}

/// Whether it is over, for all who wait.
#[derive(Default)]
struct Over {
    over: Mutex<bool>,
    told: Condvar,
}

/// Where a feed gives what it has. Its calls wait while the loop is behind.
#[derive(Clone)]
pub struct Sink {
    events: SyncSender<Event>,
    over: Arc<Over>,
}

impl Sink {
    pub(super) fn new() -> (Self, Receiver<Event>) {
        let (events, receiver) = sync_channel(WAITING);
        let over = Arc::default();
        (Self { events, over }, receiver)
    }

    /// Lines that were there before, the oldest first. The loop selects those of `--tail` among them.
    ///
    /// # Errors
    /// [`Stop::Over`].
    pub fn earlier(&self, entries: Vec<Entry>) -> Result<(), Stop> {
        self.send(Event::Earlier(entries))
    }

    /// All lines that were there before have been given.
    ///
    /// # Errors
    /// [`Stop::Over`].
    pub fn caught_up(&self) -> Result<(), Stop> {
        self.send(Event::CaughtUp)
    }

    /// Lines that came since, in the order in which they came.
    ///
    /// # Errors
    /// [`Stop::Over`].
    pub fn lines(&self, entries: Vec<Entry>) -> Result<(), Stop> {
        self.send(Event::Lines(entries))
    }

    /// What a person should know now, as one sentence. It is shown with the
    /// time.
    ///
    /// # Errors
    /// [`Stop::Over`].
    pub fn note(&self, text: impl Into<String>) -> Result<(), Stop> {
        self.send(Event::Note(text.into()))
    }

    /// What the source knows of who uses what, and of a photo's traces.
    ///
    /// # Errors
    /// [`Stop::Over`].
    pub fn learnt(&self, known: Known) -> Result<(), Stop> {
        self.send(Event::Learnt(known))
    }

    /// Waits so long; ends at once when it is over.
    ///
    /// # Errors
    /// [`Stop::Over`].
    pub fn wait(&self, length: Duration) -> Result<(), Stop> {
        let until = Instant::now() + length;
        let mut over = self.over.over.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if *over {
                return Err(Stop::Over);
            }
            if left.is_zero() {
                return Ok(());
            }
            let waited = self.over.told.wait_timeout(over, left);
            over = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        *self.over.over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that it is over.
    pub(super) fn end(&self) {
        *self.over.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.over.told.notify_all();
    }

    /// The feed's last word.
    pub(super) fn ended(&self, how: Result<(), Stop>) {
        // Who does not listen any more knows that it is over.
        let _ = self.events.send(Event::Ended(how));
    }

    /// A person wants it to end. The loop sees it when it waits or, when it
    /// is busy, between two lines.
    pub(super) fn signal(&self) {
        self.end();
        if let Err(TrySendError::Full(_)) = self.events.try_send(Event::Signal) {
            // It is busy, and looks itself.
        }
    }

    fn send(&self, event: Event) -> Result<(), Stop> {
        if self.is_over() {
            return Err(Stop::Over);
        }
        self.events.send(event).map_err(|_| Stop::Over)
    }
}
