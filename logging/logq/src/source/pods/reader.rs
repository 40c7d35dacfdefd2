//! Reads the log of one container.

use std::{
    mem,
    time::{Duration, Instant},
};

use memchr::memchr;
use tokio_util::sync::CancellationToken;

use super::{
    PodProblem, ReadPositions,
    containers::LogContainer,
    line_filter::{LineFilter, ReadPosition},
    lock,
};
use crate::{
    entry::Entry,
    filter::Filter,
    kubernetes::{Cluster, Error, LogReader, LogRequest},
};

/// Reads one container, request by request.
#[derive(Clone)]
pub(super) struct ContainerReader {
    pub cluster: Cluster,
    pub container: LogContainer,
    pub filter: Filter,
    /// Where to record how far the container was read.
    pub positions: ReadPositions,
    pub cancellation: CancellationToken,
    /// The first line of the previous response.
    pub first_line: Option<Vec<u8>>,
}

/// Why a log was not read to its end.
pub(super) enum Incomplete {
    /// No more lines are wanted.
    Stopped,
    /// No line arrived within the limit.
    Silent,
    Problem(PodProblem),
}

impl ContainerReader {
    pub fn position(&self) -> Option<ReadPosition> {
        lock(&self.positions).get(&self.container.place).cloned()
    }

    /// Sends matching lines to `emit` as they arrive, until the log ends or no line arrives within the limit.
    ///
    /// Skips the lines up to `read_before`, and a response that begins like the previous one: the container restarted
    /// after it was listed, so both requests return the same start.
    pub fn read(
        &mut self,
        request: &LogRequest,
        read_before: ReadPosition,
        limit: &dyn Fn() -> Duration,
        emit: &mut dyn FnMut(Vec<Entry>) -> Result<(), Incomplete>,
    ) -> Result<(), Incomplete> {
        let has_ended = request.previous || !self.container.is_running;
        let incomplete = |error| match error {
            Error::Cancelled => Incomplete::Stopped,
            Error::Timeout(_) => Incomplete::Silent,
            error => Incomplete::Problem(PodProblem::from_request(error, has_ended)),
        };
        let mut log = LogReader::open(&self.cluster, request, limit(), self.cancellation.clone())
            .map_err(incomplete)?;
        let mut line_filter = LineFilter::new(&self.container, &self.filter, read_before);
        let started = Instant::now();
        let mut is_first = true;
        let result = loop {
            // Only in a live log does a stack trace end with a pause.
            let due = line_filter.due().filter(|_| request.follow);
            let now = if request.follow {
                started.elapsed()
            } else {
                Duration::ZERO
            };
            let mut entries = Vec::new();
            match log.next_lines(due.map_or_else(limit, |due| due.saturating_sub(now))) {
                Ok(Some(lines)) => {
                    if mem::take(&mut is_first) && self.is_same_start(&lines) {
                        return Ok(());
                    }
                    line_filter.take(&lines, now, &mut entries);
                }
                Err(Error::Timeout(_)) if due.is_some() => {
                    line_filter.expire(started.elapsed(), &mut entries);
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(incomplete(error)),
            }
            emit(entries)?;
        };
        let mut entries = Vec::new();
        line_filter.flush(&mut entries);
        self.record_position(&line_filter);
        emit(entries)?;
        match line_filter.take_non_log_text() {
            Some(message) => Err(Incomplete::Problem(PodProblem::from_message(message, has_ended))),
            None => result,
        }
    }

    fn is_same_start(&mut self, bytes: &[u8]) -> bool {
        let first = bytes.get(..memchr(b'\n', bytes).unwrap_or(bytes.len()));
        if self.first_line.is_some() && self.first_line.as_deref() == first {
            return true;
        }
        self.first_line = first.map(<[u8]>::to_vec);
        false
    }

    fn record_position(&self, line_filter: &LineFilter) {
        let mut positions = lock(&self.positions);
        let position = positions.entry(self.container.place.clone()).or_default();
        if position.time <= line_filter.reached().time {
            *position = line_filter.reached().clone();
        }
    }
}
