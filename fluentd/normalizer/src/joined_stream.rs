//! One output stream of a container: its joiner, and the state from which a restart rebuilds it.

use std::collections::HashSet;
use std::time::Duration;

use log_normalizer::{Cri, Joiner, PARTIAL_WAIT, RawLine, Stream, Time};
use serde::{Deserialize, Serialize};

/// How long a stream recognises lines that it joined, after its last line.
const KEY_LIFETIME: Duration = Duration::from_secs(60);

/// A line that the joiner still needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingLine {
    pub time: Time,
    pub partial: bool,
    pub content: Vec<u8>,
}

impl PendingLine {
    fn key(&self) -> LineKey {
        LineKey::new(self.time, &self.content)
    }
}

/// Recognises a line that is read twice: the runtime's time in nanoseconds, checksum and length of the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LineKey(i64, u32, usize);

impl LineKey {
    fn new(time: Time, content: &[u8]) -> Self {
        Self(time.nanos(), crc32fast::hash(content), content.len())
    }
}

/// The state that outlives the process.
#[derive(Clone, Debug, Default)]
pub struct StreamState {
    pub lines: Vec<PendingLine>,
    pub keys: HashSet<LineKey>,
}

/// Joins the lines of one stream.
///
/// A file is read twice after `kill -9`, and by two readers while it is rotated. Lines that were joined in the last
/// batches are then skipped. Other lines become the same document with the same id, which OpenSearch stores once.
#[derive(Debug, Default)]
pub struct JoinedStream {
    joiner: Joiner,
    state: StreamState,
    /// Keys of the lines that the current batch joined.
    new_keys: HashSet<LineKey>,
    /// Index in `state.lines` of the first part of the last line.
    last_line: usize,
    /// Whether the last line is incomplete.
    is_partial: bool,
    /// Time of the last line.
    touched: Duration,
}

impl JoinedStream {
    /// Rebuilds a stream. Its pending lines count as read at `now`.
    pub fn restore(state: StreamState, stream: Stream, now: Duration) -> Self {
        let mut restored = Self {
            touched: now,
            ..Self::default()
        };
        for line in state.lines {
            let cri = Cri {
                time: line.time,
                stream,
                partial: line.partial,
                content: &line.content,
            };
            restored.join(&cri, now, &mut |_| ());
        }
        restored.state.keys = state.keys;
        restored.new_keys.clear();
        restored
    }

    pub const fn state(&self) -> &StreamState {
        &self.state
    }

    pub fn into_state(self) -> StreamState {
        self.state
    }

    /// Whether there is nothing to store.
    pub fn is_idle(&self) -> bool {
        self.state.lines.is_empty() && self.state.keys.is_empty() && self.new_keys.is_empty()
    }

    /// Takes a line; passes complete lines to `out`. Returns whether the state changed.
    pub fn push(&mut self, cri: &Cri<'_>, now: Duration, out: &mut dyn FnMut(RawLine<'_>)) -> bool {
        if !self.is_idle() {
            self.touched = now;
            let key = LineKey::new(cri.time, cri.content);
            if self.state.keys.contains(&key) {
                // The batch may be read once more.
                self.new_keys.insert(key);
                return false;
            }
        }
        self.join(cri, now, out)
    }

    fn join(&mut self, cri: &Cri<'_>, now: Duration, out: &mut dyn FnMut(RawLine<'_>)) -> bool {
        if !self.is_partial {
            self.last_line = self.state.lines.len();
        }
        let had_lines = !self.state.lines.is_empty();
        let was_partial = self.is_partial;
        let mut complete = 0;
        self.joiner
            .push(RawLine::cri(cri, 0), cri.partial, now, &mut |line| {
                complete += 1;
                out(line);
            });
        self.is_partial = cri.partial;
        self.drop_complete(complete);
        let is_pending = self.joiner.due().is_some();
        if is_pending {
            self.touched = now;
            self.keep(cri);
        }
        if is_pending || was_partial {
            self.new_keys.insert(LineKey::new(cri.time, cri.content));
        }
        is_pending || had_lines
    }

    /// Passes on lines that have waited too long. Returns whether the state changed.
    pub fn expire(&mut self, now: Duration, out: &mut dyn FnMut(RawLine<'_>)) -> bool {
        let is_due = self.joiner.due().is_some_and(|due| due <= now);
        if is_due {
            let mut complete = 0;
            self.joiner.expire(now, &mut |line| {
                complete += 1;
                out(line);
            });
            self.drop_complete(complete);
            if self.is_partial && self.touched + PARTIAL_WAIT <= now {
                self.is_partial = false;
            }
        }
        let is_old = self.state.lines.is_empty() && now.saturating_sub(self.touched) > KEY_LIFETIME;
        let forgets = is_old && !self.state.keys.is_empty();
        if forgets {
            self.state.keys.clear();
        }
        is_due || forgets
    }

    /// Ends a batch of lines that were read together. Returns whether the state changed.
    pub fn end_batch(&mut self) -> bool {
        if self.new_keys.is_empty() {
            return false;
        }
        // A restart reads at most the last batch again. Pending lines must not be joined twice either.
        let pending = self.state.lines.iter().map(PendingLine::key);
        self.state.keys = pending.chain(self.new_keys.drain()).collect();
        true
    }

    /// Removes the lines that the joiner has passed on: all but the last, or all.
    fn drop_complete(&mut self, complete: usize) {
        if self.joiner.due().is_none() {
            self.state.lines.clear();
            self.last_line = 0;
        } else if complete > 0 {
            self.state.lines.drain(..self.last_line);
            self.last_line = 0;
        }
    }

    /// Stores a line, unless the joiner cuts it off. To see that, the joiner needs one byte more than it keeps.
    fn keep(&mut self, cri: &Cri<'_>) {
        let last = self.state.lines.get(self.last_line..).unwrap_or_default();
        let size: usize = last.iter().map(|line| line.content.len()).sum();
        if size <= schema::MAX_CONTENT_BYTES {
            self.state.lines.push(PendingLine {
                time: cri.time,
                partial: cri.partial,
                content: cri.content.to_vec(),
            });
        }
    }
}
