//! One kubectl that follows one container.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    super::{
        Asked, Container, Error, Marks, Problem, State, locked,
        program::Program,
        sift::Sifter,
        stream::{Now, blocks, mark},
    },
    BATCH,
    told::Told,
};
use crate::{
    filter::Filter,
    follow::{Sink, Stop},
    source::Entry,
};

/// Blocks that are read before their lines are needed.
const AHEAD: usize = 2;

/// Where nothing is held, how long nothing need come.
const LONG: Duration = Duration::from_secs(3600);

/// What follows one container, in a thread of its own.
pub struct Reader {
    pub program: Program,
    pub container: Container,
    pub filter: Filter,
    pub marks: Marks,
    pub now: Now,
    pub ended: Arc<AtomicBool>,
    pub told: Told,
    pub sink: Sink,
}

impl Reader {
    pub fn run(self) {
        let known = locked(&self.marks).contains_key(&self.container.place);
        // What was written before the container was started again.
        if known && self.container.state == State::Restarted {
            let _ = self.call(true);
        }
        let _ = self.call(false);
        self.ended.store(true, Ordering::Release);
    }

    fn call(&self, previous: bool) -> Result<(), Stop> {
        let past = locked(&self.marks).get(&self.container.place).cloned();
        let past = past.unwrap_or_default();
        let asked = Asked {
            previous,
            since: past.time,
            tail: None,
            follow: !previous,
        };
        let arguments = self.program.logs(&self.container, asked);
        let (running, output) = match self.program.run(&arguments) {
            Ok(begun) => begun,
            Err(error) => return self.told.tell(error.to_string(), &self.sink),
        };
        if !self.now.set(running.ender()) {
            return Err(Stop::Over);
        }
        let mut sifter = Sifter::new(&self.container, &self.filter, past);
        let given = self.give(output, &mut sifter);
        mark(&self.marks, &self.container, &sifter);
        given?;
        let words = sifter.words().map(Problem::Unread);
        let said = running.end().unwrap_or_else(|error| Some(error.to_string()));
        let problem = words.or_else(|| said.map(|said| Problem::read(&said)));
        match problem {
            // It is gone: its lines have been given.
            None | Some(Problem::Gone) => Ok(()),
            Some(_) if self.sink.is_over() => Err(Stop::Over),
            Some(problem) => {
                let text = Error::logs(&self.container, problem).to_string();
                self.told.tell(text, &self.sink)
            }
        }
    }

    /// Gives what comes until nothing more does.
    fn give(&self, output: std::process::ChildStdout, sifter: &mut Sifter) -> Result<(), Stop> {
        let (sender, read) = mpsc::sync_channel(AHEAD);
        thread::spawn(move || {
            let mut blocks = blocks(output);
            while let Ok(Some(block)) = blocks.next() {
                if sender.send(block).is_err() {
                    return;
                }
            }
        });
        let begun = Instant::now();
        loop {
            let wait = sifter
                .due()
                .map_or(LONG, |due| due.saturating_sub(begun.elapsed()));
            let mut entries = Vec::new();
            match read.recv_timeout(wait) {
                Ok(block) => sifter.take(block.bytes(), begun.elapsed(), &mut entries),
                Err(RecvTimeoutError::Timeout) => sifter.expire(begun.elapsed(), &mut entries),
                Err(RecvTimeoutError::Disconnected) => {
                    sifter.flush(&mut entries);
                    return self.send(entries);
                }
            }
            self.send(entries)?;
        }
    }

    fn send(&self, mut entries: Vec<Entry>) -> Result<(), Stop> {
        while !entries.is_empty() {
            let rest = entries.split_off(entries.len().min(BATCH));
            self.sink.lines(std::mem::replace(&mut entries, rest))?;
        }
        Ok(())
    }
}
