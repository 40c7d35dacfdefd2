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
    time::Duration,
};

use line::{Joiner, Line, normalize, timestamped};
use memchr::memchr;

use super::{
    Error, Problem,
    pods::Container,
    program::{Ender, Program},
};
use crate::{
    filter::{Filter, Sieve},
    source::{
        Entry,
        files::{
            blocks::{Blocks, MAX_LINE_BYTES},
            input::Input,
        },
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
}

/// What runs now, or that nothing is to run any more.
#[derive(Clone, Debug, Default)]
struct Now(Arc<Mutex<(Ender, bool)>>);

impl Now {
    /// Whether it may run.
    fn set(&self, ender: Ender) -> bool {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.0 = ender;
        !now.1
    }

    fn end(&self) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.1 = true;
        now.0.end();
    }
}

impl Stream {
    /// Starts kubectl, with each of these arguments one after the other.
    #[must_use]
    pub fn start(
        program: &Program,
        container: Container,
        calls: Vec<Vec<OsString>>,
        filter: &Filter,
    ) -> Self {
        let (sender, lines) = mpsc::sync_channel(AHEAD);
        let now = Now::default();
        let reader = Reader {
            program: program.clone(),
            sieve: Sieve::new(filter, &container.origin),
            filter: filter.clone(),
            container: container.clone(),
            now: now.clone(),
            sender,
            begun: None,
        };
        thread::spawn(move || reader.run(&calls));
        Self {
            container,
            lines,
            ready: Vec::new().into_iter(),
            now,
            ended: false,
        }
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
            match self.lines.recv_timeout(PATIENCE) {
                Ok(Ok(entries)) => self.ready = entries.into_iter(),
                Ok(Err(error)) => return Some(Err(error)),
                Err(RecvTimeoutError::Disconnected) => self.ended = true,
                Err(RecvTimeoutError::Timeout) => {
                    self.ended = true;
                    self.now.end();
                    return Some(Err(Error::logs(&self.container, Problem::Silent(PATIENCE))));
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
    sieve: Sieve,
    now: Now,
    sender: SyncSender<Result<Vec<Entry>, Error>>,
    /// The first line of the start that was read before.
    begun: Option<Vec<u8>>,
}

/// Nobody waits for lines any more.
struct Over;

impl Reader {
    fn run(mut self, calls: &[Vec<OsString>]) {
        for call in calls {
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
            self.send(Err(Error::logs(&self.container, Problem::Unread(words))))?;
        }
        let problem = match running.end() {
            Ok(None) => return Ok(()),
            Ok(Some(said)) => Problem::read(&said),
            Err(error) => Problem::Failed(error.to_string()),
        };
        self.send(Err(Error::logs(&self.container, problem)))
    }

    fn send(&self, item: Result<Vec<Entry>, Error>) -> Result<(), Over> {
        self.sender.send(item).map_err(|_| Over)
    }

    /// Gives on what is wanted; returns what stands there that is no line.
    fn lines(&mut self, output: ChildStdout) -> Result<Option<String>, Over> {
        let input = Input {
            name: PathBuf::from("kubectl"),
            bytes: Box::new(output),
            changed: None,
            live: true,
        };
        let mut blocks = Blocks::of(input, BLOCK_BYTES);
        let mut joiner = Joiner::new();
        let mut words = None;
        let mut first = true;
        loop {
            let block = match blocks.next() {
                Ok(Some(block)) => block,
                Ok(None) => break,
                Err(error) => {
                    self.send(Err(Error::logs(
                        &self.container,
                        Problem::Failed(error.to_string()),
                    )))?;
                    break;
                }
            };
            let mut entries = Vec::new();
            let mut rest = block.bytes();
            while !rest.is_empty() {
                let end = memchr(b'\n', rest).unwrap_or(rest.len());
                let line = rest.get(..end.min(MAX_LINE_BYTES)).unwrap_or_default();
                rest = rest.get(end + 1..).unwrap_or_default();
                // The container has been started again since it was listed:
                // both calls give the same start.
                if std::mem::take(&mut first) && self.is_known(line) {
                    return Ok(None);
                }
                match timestamped(line) {
                    Some((time, content)) => {
                        self.line(Line::timed(time, content, 0), &mut joiner, &mut entries)
                    }
                    None if words.is_none() && !line.is_empty() => {
                        words = Some(String::from_utf8_lossy(line).into_owned());
                    }
                    None => {}
                }
            }
            blocks.reuse(block);
            // One without lines says that more may come.
            self.send(Ok(entries))?;
        }
        let mut entries = Vec::new();
        joiner.flush(&mut |line| self.take(&line, &mut entries));
        self.send(Ok(entries))?;
        Ok(words)
    }

    fn is_known(&mut self, first: &[u8]) -> bool {
        if self.begun.as_deref() == Some(first) {
            return true;
        }
        self.begun = Some(first.to_owned());
        false
    }

    fn line(&self, line: Line<'_>, joiner: &mut Joiner, entries: &mut Vec<Entry>) {
        // A line of JSON goes on with nothing and nothing goes on with it.
        if line.content.first() == Some(&b'{') && joiner.due().is_none() {
            return self.take(&line, entries);
        }
        joiner.push(line, false, Duration::ZERO, &mut |line| self.take(&line, entries));
    }

    fn take(&self, line: &Line<'_>, entries: &mut Vec<Entry>) {
        if !self.sieve.may_match(&line.content, line.time, false) {
            return;
        }
        let document = normalize(line, &self.container.origin);
        if self.filter.matches(&document) {
            let raw = Some(line.content.to_vec());
            entries.push(Entry { document, raw });
        }
    }
}
