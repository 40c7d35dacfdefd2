//! The lines of one container.

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
    Error, Marks, Problem, locked,
    pods::Container,
    program::{Ender, Program},
    sift::{Mark, Sifter},
};
use crate::{
    filter::Filter,
    source::{
        Entry,
        files::{blocks::Blocks, input::Input},
    },
};

/// How long nothing may come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes that are read at a time.
const BLOCK_BYTES: usize = 64 * 1024;

/// Blocks that are read before their lines are needed.
const AHEAD: usize = 2;

/// The lines of one container that fit a filter, in its order. kubectl is
/// ended when this is forgotten.
#[derive(Debug)]
pub struct Stream {
    container: Container,
    lines: Receiver<Result<Vec<Entry>, Error>>,
    ready: vec::IntoIter<Entry>,
    now: Now,
    ended: bool,
    limit: Limit,
}

/// Until when lines are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    begun: Instant,
    total: Duration,
}

impl Limit {
    /// From now on.
    pub(super) fn new(total: Duration) -> Self {
        let begun = Instant::now();
        Self { begun, total }
    }

    /// As long as it takes.
    pub(super) fn none() -> Self {
        Self::new(Duration::MAX)
    }

    fn remaining(self) -> Duration {
        self.total.saturating_sub(self.begun.elapsed())
    }

    /// The error of a container for which no time is left.
    pub(super) fn over(self, container: &Container) -> Option<Error> {
        let is_over = self.remaining().is_zero();
        is_over.then(|| Error::logs(container, Problem::Late(self.total)))
    }
}

/// What runs now, or that nothing is to run any more.
#[derive(Clone, Debug, Default)]
pub(super) struct Now(Arc<Mutex<(Ender, bool)>>);

impl Now {
    /// Whether it may run.
    pub(super) fn set(&self, ender: Ender) -> bool {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.0 = ender;
        !now.1
    }

    pub(super) fn end(&self) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.1 = true;
        now.0.end();
    }
}

impl Stream {
    /// Runs kubectl with the arguments of each call, one call after the other. Writes to `marks` how far it has read. Ends
    /// with an error when `limit` is over.
    #[must_use]
    pub(super) fn start(
        program: &Program,
        container: Container,
        calls: Vec<Vec<OsString>>,
        filter: &Filter,
        marks: &Marks,
        limit: Limit,
    ) -> Self {
        let (sender, lines) = mpsc::sync_channel(AHEAD);
        let now = Now::default();
        let reader = Reader {
            program: program.clone(),
            filter: filter.clone(),
            marks: marks.clone(),
            container: container.clone(),
            now: now.clone(),
            sender,
            begun: None,
            reads_previous: false,
        };
        thread::spawn(move || reader.run(&calls));
        Self {
            container,
            lines,
            ready: Vec::new().into_iter(),
            now,
            ended: false,
            limit,
        }
    }
}

impl Stream {
    fn give_up(&mut self, problem: Problem) -> Error {
        self.ended = true;
        self.now.end();
        Error::logs(&self.container, problem)
    }
}

impl Iterator for Stream {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.ready.next() {
                return Some(Ok(entry));
            }
            if self.ended {
                return None;
            }
            let remaining = self.limit.remaining();
            if remaining.is_zero() {
                return Some(Err(self.give_up(Problem::Late(self.limit.total))));
            }
            match self.lines.recv_timeout(PATIENCE.min(remaining)) {
                Ok(Ok(entries)) => self.ready = entries.into_iter(),
                Ok(Err(error)) => return Some(Err(error)),
                Err(RecvTimeoutError::Disconnected) => self.ended = true,
                Err(RecvTimeoutError::Timeout) => {
                    let problem = if remaining < PATIENCE {
                        Problem::Late(self.limit.total)
                    } else {
                        Problem::Silent(PATIENCE)
                    };
                    return Some(Err(self.give_up(problem)));
                }
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.now.end();
    }
}

/// What reads.
struct Reader {
    program: Program,
    container: Container,
    filter: Filter,
    marks: Marks,
    now: Now,
    sender: SyncSender<Result<Vec<Entry>, Error>>,
    /// The first line of the start that was read before.
    begun: Option<Vec<u8>>,
    /// Whether the lines of the start before the newest are read.
    reads_previous: bool,
}

/// Nobody waits for lines any more.
struct Over;

impl Reader {
    fn run(mut self, calls: &[Vec<OsString>]) {
        for (number, call) in calls.iter().enumerate() {
            self.reads_previous = number + 1 < calls.len();
            if self.call(call).is_err() {
                return;
            }
        }
    }

    fn call(&mut self, arguments: &[OsString]) -> Result<(), Over> {
        let (running, output) = match self.program.run(arguments) {
            Ok(begun) => begun,
            Err(error) => return self.send(Err(error)),
        };
        if !self.now.set(running.ender()) {
            return Err(Over);
        }
        if let Some(words) = self.lines(output)? {
            let problem = self.problem(Problem::Unread(words));
            self.send(Err(Error::logs(&self.container, problem)))?;
        }
        let problem = match running.end() {
            Ok(None) => return Ok(()),
            Ok(Some(said)) => self.problem(Problem::read(&said)),
            Err(error) => Problem::Failed(error.to_string()),
        };
        self.send(Err(Error::logs(&self.container, problem)))
    }

    fn problem(&self, problem: Problem) -> Problem {
        if self.reads_previous || !self.container.runs {
            problem.of_an_ended_container()
        } else {
            problem
        }
    }

    fn send(&self, item: Result<Vec<Entry>, Error>) -> Result<(), Over> {
        self.sender.send(item).map_err(|_| Over)
    }

    /// Gives on what is wanted; returns what stands there that is no line.
    fn lines(&mut self, output: ChildStdout) -> Result<Option<String>, Over> {
        let mut blocks = blocks(output);
        let mut sifter = Sifter::new(&self.container, &self.filter, Mark::default());
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
            // The container has been started again since it was listed:
            // both calls give the same start.
            if std::mem::take(&mut first) && self.is_known(block.bytes()) {
                return Ok(None);
            }
            let mut entries = Vec::new();
            sifter.take(block.bytes(), Duration::ZERO, &mut entries);
            blocks.reuse(block);
            // One without lines says that more may come.
            self.send(Ok(entries))?;
        }
        let mut entries = Vec::new();
        sifter.flush(&mut entries);
        mark(&self.marks, &self.container, &sifter);
        self.send(Ok(entries))?;
        Ok(sifter.words())
    }

    /// Whether a start that begins so has been read.
    fn is_known(&mut self, bytes: &[u8]) -> bool {
        let first = bytes.get(..memchr(b'\n', bytes).unwrap_or(bytes.len()));
        if self.begun.is_some() && self.begun.as_deref() == first {
            return true;
        }
        self.begun = first.map(<[u8]>::to_vec);
        false
    }
}

/// Tells how far a container has been read.
pub(super) fn mark(marks: &Marks, container: &Container, sifter: &Sifter) {
    let mut marks = locked(marks);
    let mark = marks.entry(container.place.clone()).or_default();
    if mark.time <= sifter.reached().time {
        *mark = sifter.reached().clone();
    }
}

/// What kubectl prints, in whole lines, as it comes.
pub(super) fn blocks(output: ChildStdout) -> Blocks {
    let input = Input {
        name: PathBuf::from("kubectl"),
        bytes: Box::new(output),
        changed: None,
        live: true,
    };
    Blocks::of(input, BLOCK_BYTES)
}
