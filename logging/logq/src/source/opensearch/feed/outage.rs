//! Handles outages of OpenSearch.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use crate::source::feed::{FeedEnd, FeedSink};

/// Delays between attempts; the last one repeats.
const RETRY_DELAYS: [Duration; 6] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(3),
    Duration::from_secs(5),
];

/// The current outage, if any.
pub struct Outage {
    url: String,
    since: Option<Instant>,
    /// Number of consecutive failed requests.
    tries: usize,
}

impl Outage {
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            since: None,
            tries: 0,
        }
    }

    pub const fn is_active(&self) -> bool {
        self.since.is_some()
    }

    /// Waits after a failed request. Reports an outage after the second failure; a single broken connection is not
    /// worth a message.
    ///
    /// # Errors
    /// [`FeedEnd::Cancelled`].
    pub fn wait(&mut self, error: &dyn Display, sink: &FeedSink) -> Result<(), FeedEnd> {
        self.since.get_or_insert_with(Instant::now);
        if self.tries == 1 {
            sink.send_note(format!("output pauses until OpenSearch answers again: {error}"))?;
        }
        let delay = RETRY_DELAYS
            .get(self.tries)
            .or(RETRY_DELAYS.last())
            .copied()
            .unwrap_or_default();
        self.tries += 1;
        sink.wait(delay)
    }

    /// Ends an outage, and reports it.
    ///
    /// # Errors
    /// [`FeedEnd::Cancelled`].
    pub fn end(&mut self, sink: &FeedSink) -> Result<(), FeedEnd> {
        let tries = std::mem::take(&mut self.tries);
        match self.since.take() {
            Some(since) if tries > 1 => {
                let seconds = since.elapsed().as_secs_f64();
                sink.send_note(format!(
                    "OpenSearch at {} answers again after {seconds:.1} s; output continues without gaps",
                    self.url
                ))
            }
            _ => Ok(()),
        }
    }
}
