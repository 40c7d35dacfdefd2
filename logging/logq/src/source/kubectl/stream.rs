//! Streams the lines of a container.

use std::vec;
use std::{
    ffi::OsString,
    path::PathBuf,
    process::ChildStdout,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use memchr::memchr;

use super::{
    Error, Problem, ReadPositions,
    line_filter::{LineFilter, ReadPosition},
    lock,
    pods::Container,
    program::{KillHandle, KubectlProgram},
};
use crate::{
    filter::Filter,
    source::{
        Entry,
        files::{blocks::BlockReader, input::Input},
    },
};

/// Maximum silence of kubectl.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);

const BLOCK_BYTES: usize = 64 * 1024;

const MAX_QUEUED_BLOCKS: usize = 2;

/// The matching lines of a container, in order. Dropping it kills kubectl.
#[derive(Debug)]
pub struct LogStream {
    container: Container,
    lines: Receiver<Result<Vec<Entry>, Error>>,
    ready: vec::IntoIter<Entry>,
    process: ProcessSlot,
    ended: bool,
    deadline: Deadline,
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
    pub(super) fn timeout_error(self, container: &Container) -> Option<Error> {
        let is_over = self.remaining().is_zero();
        is_over.then(|| Error::logs(container, Problem::Timeout(self.total)))
    }
}

/// The current process, or a cancellation flag.
#[derive(Clone, Debug, Default)]
pub(super) struct ProcessSlot(Arc<Mutex<(KillHandle, bool)>>);

impl ProcessSlot {
    /// Sets the process; returns false after cancellation.
    pub(super) fn try_set(&self, kill_handle: KillHandle) -> bool {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.0 = kill_handle;
        !slot.1
    }

    pub(super) fn cancel(&self) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.1 = true;
        slot.0.kill();
    }
}

impl LogStream {
    /// Runs the commands one after the other. Records the read position in `positions`. Ends with an error after
    /// `deadline`.
    #[must_use]
    pub(super) fn start(
        program: &KubectlProgram,
        container: Container,
        calls: Vec<Vec<OsString>>,
        filter: &Filter,
        positions: &ReadPositions,
        deadline: Deadline,
    ) -> Self {
        let (sender, lines) = mpsc::sync_channel(MAX_QUEUED_BLOCKS);
        let process = ProcessSlot::default();
        let fetcher = LogFetcher {
            program: program.clone(),
            filter: filter.clone(),
            positions: positions.clone(),
            container: container.clone(),
            process: process.clone(),
            sender,
            first_line: None,
            is_previous: false,
        };
        thread::spawn(move || fetcher.run(&calls));
        Self {
            container,
            lines,
            ready: Vec::new().into_iter(),
            process,
            ended: false,
            deadline,
        }
    }
}

impl LogStream {
    fn give_up(&mut self, problem: Problem) -> Error {
        self.ended = true;
        self.process.cancel();
        Error::logs(&self.container, problem)
    }
}

impl Iterator for LogStream {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.ready.next() {
                return Some(Ok(entry));
            }
            if self.ended {
                return None;
            }
            let remaining = self.deadline.remaining();
            if remaining.is_zero() {
                return Some(Err(self.give_up(Problem::Timeout(self.deadline.total))));
            }
            match self.lines.recv_timeout(SILENCE_TIMEOUT.min(remaining)) {
                Ok(Ok(entries)) => self.ready = entries.into_iter(),
                Ok(Err(error)) => return Some(Err(error)),
                Err(RecvTimeoutError::Disconnected) => self.ended = true,
                Err(RecvTimeoutError::Timeout) => {
                    let problem = if remaining < SILENCE_TIMEOUT {
                        Problem::Timeout(self.deadline.total)
                    } else {
                        Problem::Silent(SILENCE_TIMEOUT)
                    };
                    return Some(Err(self.give_up(problem)));
                }
            }
        }
    }
}

impl Drop for LogStream {
    fn drop(&mut self) {
        self.process.cancel();
    }
}

struct LogFetcher {
    program: KubectlProgram,
    container: Container,
    filter: Filter,
    positions: ReadPositions,
    process: ProcessSlot,
    sender: SyncSender<Result<Vec<Entry>, Error>>,
    /// The first line of the previous command's output.
    first_line: Option<Vec<u8>>,
    /// Whether the current command reads the previous start.
    is_previous: bool,
}

/// The receiver is gone.
struct Cancelled;

impl LogFetcher {
    fn run(mut self, calls: &[Vec<OsString>]) {
        for (number, call) in calls.iter().enumerate() {
            self.is_previous = number + 1 < calls.len();
            if self.run_command(call).is_err() {
                return;
            }
        }
    }

    fn run_command(&mut self, arguments: &[OsString]) -> Result<(), Cancelled> {
        let (process, output) = match self.program.spawn(arguments) {
            Ok(started) => started,
            Err(error) => return self.send(Err(error)),
        };
        if !self.process.try_set(process.kill_handle()) {
            return Err(Cancelled);
        }
        if let Some(text) = self.send_lines(output)? {
            let problem = self.classify(Problem::Unread(text));
            self.send(Err(Error::logs(&self.container, problem)))?;
        }
        let problem = match process.wait() {
            Ok(None) => return Ok(()),
            Ok(Some(stderr)) => self.classify(Problem::from_stderr(&stderr)),
            Err(error) => Problem::Failed(error.to_string()),
        };
        self.send(Err(Error::logs(&self.container, problem)))
    }

    fn classify(&self, problem: Problem) -> Problem {
        if self.is_previous || !self.container.is_running {
            problem.for_ended_container()
        } else {
            problem
        }
    }

    fn send(&self, item: Result<Vec<Entry>, Error>) -> Result<(), Cancelled> {
        self.sender.send(item).map_err(|_| Cancelled)
    }

    /// Sends matching lines; returns output that is not a log line.
    fn send_lines(&mut self, output: ChildStdout) -> Result<Option<String>, Cancelled> {
        let mut blocks = read_blocks(output);
        let mut line_filter = LineFilter::new(&self.container, &self.filter, ReadPosition::default());
        let mut first = true;
        loop {
            let block = match blocks.next() {
                Ok(Some(block)) => block,
                Ok(None) => break,
                Err(error) => {
                    let problem = Problem::Failed(error.to_string());
                    self.send(Err(Error::logs(&self.container, problem)))?;
                    break;
                }
            };
            // The container restarted after it was listed, so both commands return the same start.
            if std::mem::take(&mut first) && self.is_same_start(block.bytes()) {
                return Ok(None);
            }
            let mut entries = Vec::new();
            line_filter.take(block.bytes(), Duration::ZERO, &mut entries);
            blocks.reuse(block);
            // An empty batch signals progress.
            self.send(Ok(entries))?;
        }
        let mut entries = Vec::new();
        line_filter.flush(&mut entries);
        record_position(&self.positions, &self.container, &line_filter);
        self.send(Ok(entries))?;
        Ok(line_filter.take_non_log_text())
    }

    /// Whether the output starts like that of the previous command.
    fn is_same_start(&mut self, bytes: &[u8]) -> bool {
        let first = bytes.get(..memchr(b'\n', bytes).unwrap_or(bytes.len()));
        if self.first_line.is_some() && self.first_line.as_deref() == first {
            return true;
        }
        self.first_line = first.map(<[u8]>::to_vec);
        false
    }
}

/// Records how far a container was read.
pub(super) fn record_position(positions: &ReadPositions, container: &Container, line_filter: &LineFilter) {
    let mut positions = lock(positions);
    let mark = positions.entry(container.place.clone()).or_default();
    if mark.time <= line_filter.reached().time {
        *mark = line_filter.reached().clone();
    }
}

/// Reads kubectl's output in whole lines, as it arrives.
pub(super) fn read_blocks(output: ChildStdout) -> BlockReader {
    let input = Input {
        name: PathBuf::from("kubectl"),
        bytes: Box::new(output),
        changed: None,
        is_live: true,
    };
    BlockReader::from_input(input, BLOCK_BYTES)
}
