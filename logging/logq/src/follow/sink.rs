//! Where a feed gives what it has.

use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    time::{Duration, Instant},
};

use crate::{query::ResolvedContext, search::SearchError, source::Entry};

/// Batches that wait for the loop: then a feed waits, too.
const MAX_QUEUED_BATCHES: usize = 16;

/// Why a feed ends.
#[derive(Debug)]
pub enum FeedEnd {
    /// Nobody wants more.
    Cancelled,
    /// There is no way on.
    Failed(SearchError),
}

impl<E: Into<SearchError>> From<E> for FeedEnd {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What the loop is told.
pub(super) enum Event {
    Past(Vec<Entry>),
    /// All of these have been given.
    PastEnd,
    New(Vec<Entry>),
    Note(String),
    Context(ResolvedContext),
    /// The feed has ended.
    Ended(Result<(), FeedEnd>),
    /// A person wants it to end.
    Signal,
}

/// Whether it is over, for all who wait.
#[derive(Default)]
struct Cancellation {
    flag: Mutex<bool>,
    changed: Condvar,
}

/// Where a feed gives what it has. Its calls wait while the loop is behind.
#[derive(Clone)]
pub struct FeedSink {
    events: SyncSender<Event>,
    cancellation: Arc<Cancellation>,
}

impl FeedSink {
    pub(super) fn new() -> (Self, Receiver<Event>) {
        let (events, receiver) = sync_channel(MAX_QUEUED_BATCHES);
        let cancellation = Arc::default();
        (Self { events, cancellation }, receiver)
    }

    /// Lines that were there before, the oldest first. The loop selects those of `--tail` among them.
    ///
    /// # Errors
    /// [`Stop::Cancellation`].
    pub fn send_past(&self, entries: Vec<Entry>) -> Result<(), FeedEnd> {
        self.send(Event::Past(entries))
    }

    /// All lines that were there before have been given.
    ///
    /// # Errors
    /// [`Stop::Cancellation`].
    pub fn end_past(&self) -> Result<(), FeedEnd> {
        self.send(Event::PastEnd)
    }

    /// Lines that came since, in the order in which they came.
    ///
    /// # Errors
    /// [`Stop::Cancellation`].
    pub fn send_new(&self, entries: Vec<Entry>) -> Result<(), FeedEnd> {
        self.send(Event::New(entries))
    }

    /// What a person should know now, as one sentence. It is shown with the
    /// time.
    ///
    /// # Errors
    /// [`Stop::Cancellation`].
    pub fn send_note(&self, text: impl Into<String>) -> Result<(), FeedEnd> {
        self.send(Event::Note(text.into()))
    }

    /// What the source knows of who uses what, and of a photo's traces.
    ///
    /// # Errors
    /// [`Stop::Cancellation`].
    pub fn send_context(&self, context: ResolvedContext) -> Result<(), FeedEnd> {
        self.send(Event::Context(context))
    }

    /// Waits so long; ends at once when it is over.
    ///
    /// # Errors
    /// [`Stop::Cancellation`].
    pub fn wait(&self, length: Duration) -> Result<(), FeedEnd> {
        let until = Instant::now() + length;
        let mut over = self
            .cancellation
            .flag
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if *over {
                return Err(FeedEnd::Cancelled);
            }
            if left.is_zero() {
                return Ok(());
            }
            let waited = self.cancellation.changed.wait_timeout(over, left);
            over = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *self
            .cancellation
            .flag
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that it is over.
    pub(super) fn cancel(&self) {
        *self
            .cancellation
            .flag
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.cancellation.changed.notify_all();
    }

    /// The feed's last word.
    pub(super) fn finish(&self, how: Result<(), FeedEnd>) {
        // Who does not listen any more knows that it is over.
        let _ = self.events.send(Event::Ended(how));
    }

    /// A person wants it to end. The loop sees it when it waits or, when it
    /// is busy, between two lines.
    pub(super) fn signal(&self) {
        self.cancel();
        if let Err(TrySendError::Full(_)) = self.events.try_send(Event::Signal) {
            // It is busy, and looks itself.
        }
    }

    fn send(&self, event: Event) -> Result<(), FeedEnd> {
        if self.is_cancelled() {
            return Err(FeedEnd::Cancelled);
        }
        self.events.send(event).map_err(|_| FeedEnd::Cancelled)
    }
}
