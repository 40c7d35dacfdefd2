//! OpenSearch that is away for a while.

use std::time::{Duration, Instant};

use crate::{
    follow::{FeedEnd, FeedSink},
    opensearch::Error,
};

/// Between two tries; the last one again and again.
const RETRY_DELAYS: [Duration; 6] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(3),
    Duration::from_secs(5),
];

/// Whether it is away, and since when.
pub struct Outage {
    url: String,
    since: Option<Instant>,
    /// So many questions in a row were not answered.
    tries: usize,
}

impl Outage {
    /// It is there.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            since: None,
            tries: 0,
        }
    }

    /// Whether it is away.
    pub const fn is_active(&self) -> bool {
        self.since.is_some()
    }

    /// It did not answer: waits, and says so if it did not answer the second
    /// time either. A single broken connection is nothing that one has to
    /// know.
    ///
    /// # Errors
    /// [`Stop::Over`].
    pub fn wait(&mut self, error: &Error, sink: &FeedSink) -> Result<(), FeedEnd> {
        self.since.get_or_insert_with(Instant::now);
        if self.tries == 1 {
            sink.send_note(format!("lines stop here until OpenSearch answers again: {error}"))?;
        }
        let delay = RETRY_DELAYS
            .get(self.tries)
            .or(RETRY_DELAYS.last())
            .copied()
            .unwrap_or_default();
        self.tries += 1;
        sink.wait(delay)
    }

    /// It answered: says so if it was away.
    ///
    /// # Errors
    /// [`Stop::Over`].
    pub fn end(&mut self, sink: &FeedSink) -> Result<(), FeedEnd> {
        let tries = std::mem::take(&mut self.tries);
        match self.since.take() {
            Some(since) if tries > 1 => {
                let seconds = since.elapsed().as_secs_f64();
                sink.send_note(format!(
                    "OpenSearch at {} answers again, after {seconds:.1} s: lines go on where they stopped",
                    self.url
                ))
            }
            _ => Ok(()),
        }
    }
}
