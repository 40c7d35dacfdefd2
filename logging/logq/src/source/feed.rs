//! Feeds of new lines, and the channel from a feed to the loop that shows them.

use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    time::{Duration, Instant},
};

use super::error::SourceError;
use crate::{entry::Entry, query::ResolvedContext};

/// Delivers the lines of one source.
pub trait Feed: Send {
    /// Delivers the existing lines ([`FeedSink::send_past`], then [`FeedSink::end_past`]), then new ones
    /// ([`FeedSink::send_new`]), until the sink is cancelled or the source ends, as a pipe does.
    ///
    /// Waits during transient errors, and reports their start and end with [`FeedSink::send_note`].
    ///
    /// # Errors
    /// [`FeedEnd::Cancelled`] from the sink; [`FeedEnd::Failed`] for a permanent error.
    fn follow(self: Box<Self>, sink: &FeedSink) -> Result<(), FeedEnd>;
}

/// The existing lines that a feed delivers first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedOptions {
    pub backlog: Backlog,
    pub context_lines: ContextLines,
}

/// Which existing lines to show first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backlog {
    /// All from `--since` on.
    All,
    Last(usize),
}

/// Number of context lines around each match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContextLines {
    pub before: usize,
    pub after: usize,
}

impl ContextLines {
    #[must_use]
    pub const fn is_wanted(self) -> bool {
        self.before > 0 || self.after > 0
    }
}

/// Maximum number of queued batches. After that, the feed blocks.
const MAX_QUEUED_BATCHES: usize = 16;

#[derive(Debug)]
pub enum FeedEnd {
    /// The loop ended.
    Cancelled,
    /// A permanent error.
    Failed(SourceError),
}

impl<E: Into<SourceError>> From<E> for FeedEnd {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What a feed, or a signal, reports to the loop.
pub enum Event {
    Past(Vec<Entry>),
    /// All existing lines were sent.
    PastEnd,
    New(Vec<Entry>),
    Note(String),
    Context(ResolvedContext),
    Ended(Result<(), FeedEnd>),
    /// SIGINT or SIGTERM.
    Signal,
}

/// The shared cancellation flag.
#[derive(Default)]
struct Cancellation {
    flag: Mutex<bool>,
    changed: Condvar,
}

/// The channel from a feed to the follow loop. Calls block while the loop is behind.
#[derive(Clone)]
pub struct FeedSink {
    events: SyncSender<Event>,
    cancellation: Arc<Cancellation>,
}

impl FeedSink {
    #[must_use]
    pub fn new() -> (Self, Receiver<Event>) {
        let (events, receiver) = sync_channel(MAX_QUEUED_BATCHES);
        let cancellation = Arc::default();
        (Self { events, cancellation }, receiver)
    }

    /// Sends existing lines, oldest first. The loop selects those of `--tail`.
    ///
    /// # Errors
    /// [`FeedEnd::Cancelled`].
    pub fn send_past(&self, entries: Vec<Entry>) -> Result<(), FeedEnd> {
        self.send(Event::Past(entries))
    }

    /// Reports that all existing lines were sent.
    ///
    /// # Errors
    /// [`FeedEnd::Cancelled`].
    pub fn end_past(&self) -> Result<(), FeedEnd> {
        self.send(Event::PastEnd)
    }

    /// Sends new lines, in order of arrival.
    ///
    /// # Errors
    /// [`FeedEnd::Cancelled`].
    pub fn send_new(&self, entries: Vec<Entry>) -> Result<(), FeedEnd> {
        self.send(Event::New(entries))
    }

    /// Sends a message for the user, one sentence. The loop prints it with the time.
    ///
    /// # Errors
    /// [`FeedEnd::Cancelled`].
    pub fn send_note(&self, text: impl Into<String>) -> Result<(), FeedEnd> {
        self.send(Event::Note(text.into()))
    }

    /// Sends what the source knows about dependencies and the photo's traces.
    ///
    /// # Errors
    /// [`FeedEnd::Cancelled`].
    pub fn send_context(&self, context: ResolvedContext) -> Result<(), FeedEnd> {
        self.send(Event::Context(context))
    }

    /// Sleeps, but not longer than until cancellation.
    ///
    /// # Errors
    /// [`FeedEnd::Cancelled`].
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

    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *self
            .cancellation
            .flag
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub fn cancel(&self) {
        *self
            .cancellation
            .flag
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.cancellation.changed.notify_all();
    }

    pub fn finish(&self, how: Result<(), FeedEnd>) {
        // If the loop is gone, it knows.
        let _ = self.events.send(Event::Ended(how));
    }

    /// Cancels on a signal. The loop notices while it waits or, if busy, between two lines.
    pub fn signal(&self) {
        self.cancel();
        if let Err(TrySendError::Full(_)) = self.events.try_send(Event::Signal) {
            // The busy loop checks the flag itself.
        }
    }

    fn send(&self, event: Event) -> Result<(), FeedEnd> {
        if self.is_cancelled() {
            return Err(FeedEnd::Cancelled);
        }
        self.events.send(event).map_err(|_| FeedEnd::Cancelled)
    }
}
