//! The lines of a container as an iterator.

use std::{
    sync::mpsc::{self, Receiver, SyncSender},
    thread,
    time::{Duration, Instant},
    vec,
};

use tokio_util::sync::DropGuard;

use super::{
    Error, PodProblem,
    containers::LogContainer,
    line_filter::ReadPosition,
    reader::{ContainerReader, Incomplete},
};
use crate::{entry::Entry, kubernetes::LogRequest};

/// Maximum silence of the cluster.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);

const MAX_QUEUED_BLOCKS: usize = 2;

/// The matching lines of a container, in order. Dropping it ends the requests.
pub struct LogStream {
    lines: Receiver<Result<Vec<Entry>, Error>>,
    ready: vec::IntoIter<Entry>,
    _cancellation: DropGuard,
}

/// A deadline for reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    started: Instant,
    total: Duration,
}

impl Deadline {
    pub(super) fn new(total: Duration) -> Self {
        let started = Instant::now();
        Self { started, total }
    }

    /// No deadline.
    pub(super) fn none() -> Self {
        Self::new(Duration::MAX)
    }

    fn remaining(self) -> Duration {
        self.total.saturating_sub(self.started.elapsed())
    }

    /// The error of a container without time left.
    pub(super) fn timeout_error(self, container: &LogContainer) -> Option<Error> {
        let is_over = self.remaining().is_zero();
        is_over.then(|| Error::logs(container, PodProblem::Timeout(self.total)))
    }
}

impl LogStream {
    /// Sends the requests one after the other. Ends with an error after `deadline`.
    #[must_use]
    pub(super) fn start(reader: ContainerReader, requests: Vec<LogRequest>, deadline: Deadline) -> Self {
        let (sender, lines) = mpsc::sync_channel(MAX_QUEUED_BLOCKS);
        let cancellation = reader.cancellation.clone();
        thread::spawn(move || {
            // The receiver may be gone.
            let _ = read(reader, &requests, deadline, &sender);
        });
        Self {
            lines,
            ready: Vec::new().into_iter(),
            _cancellation: cancellation.drop_guard(),
        }
    }
}

impl Iterator for LogStream {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.ready.next() {
                return Some(Ok(entry));
            }
            match self.lines.recv().ok()? {
                Ok(entries) => self.ready = entries.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

type Sender = SyncSender<Result<Vec<Entry>, Error>>;

fn read(
    mut reader: ContainerReader,
    requests: &[LogRequest],
    deadline: Deadline,
    sender: &Sender,
) -> Result<(), mpsc::SendError<Result<Vec<Entry>, Error>>> {
    let limit = || SILENCE_TIMEOUT.min(deadline.remaining());
    let mut emit = |entries| sender.send(Ok(entries)).map_err(|_| Incomplete::Stopped);
    for request in requests {
        match reader.read(request, ReadPosition::default(), &limit, &mut emit) {
            Ok(()) => {}
            Err(Incomplete::Stopped) => return Ok(()),
            Err(Incomplete::Silent) => {
                let silent = || Error::logs(&reader.container, PodProblem::Silent(SILENCE_TIMEOUT));
                let error = deadline.timeout_error(&reader.container).unwrap_or_else(silent);
                return sender.send(Err(error));
            }
            Err(Incomplete::Problem(problem)) => {
                sender.send(Err(Error::logs(&reader.container, problem)))?;
            }
        }
    }
    Ok(())
}
