//! Follows one container with its own kubectl.

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
        AvailableLogs, Container, Error, LogOptions, Problem, ReadPositions,
        line_filter::LineFilter,
        lock,
        program::KubectlProgram,
        stream::{ProcessSlot, read_blocks, record_position},
    },
    BATCH, NoticeThrottle,
};
use crate::{
    filter::Filter,
    follow::{FeedEnd, FeedSink},
    source::Entry,
};

const MAX_QUEUED_BLOCKS: usize = 2;

/// Timeout while the joiner is empty.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

/// Follows one container, in its own thread.
pub struct ContainerFollower {
    pub program: KubectlProgram,
    pub container: Container,
    pub filter: Filter,
    pub positions: ReadPositions,
    pub process: ProcessSlot,
    pub ended: Arc<AtomicBool>,
    pub notices: NoticeThrottle,
    pub sink: FeedSink,
}

impl ContainerFollower {
    pub fn run(self) {
        let has_position = lock(&self.positions).contains_key(&self.container.place);
        // Lines from before the restart.
        if has_position && self.container.logs == AvailableLogs::CurrentAndPrevious {
            let _ = self.run_command(true);
        }
        let _ = self.run_command(false);
        self.ended.store(true, Ordering::Release);
    }

    fn run_command(&self, previous: bool) -> Result<(), FeedEnd> {
        let read_before = lock(&self.positions).get(&self.container.place).cloned();
        let read_before = read_before.unwrap_or_default();
        let options = LogOptions {
            previous,
            since: read_before.time,
            tail: None,
            follow: !previous,
        };
        let arguments = self.program.log_command(&self.container, options);
        let (process, output) = match self.program.spawn(&arguments) {
            Ok(started) => started,
            Err(error) => return self.notices.send(error.to_string(), &self.sink),
        };
        if !self.process.try_set(process.kill_handle()) {
            return Err(FeedEnd::Cancelled);
        }
        let mut line_filter = LineFilter::new(&self.container, &self.filter, read_before);
        let result = self.send_lines(output, &mut line_filter);
        record_position(&self.positions, &self.container, &line_filter);
        result?;
        let non_log_text = line_filter.take_non_log_text().map(Problem::Unread);
        let stderr = process.wait().unwrap_or_else(|error| Some(error.to_string()));
        let problem = non_log_text.or_else(|| stderr.map(|stderr| Problem::from_stderr(&stderr)));
        match problem {
            // The pod is gone; its lines were delivered.
            None | Some(Problem::Gone) => Ok(()),
            Some(_) if self.sink.is_cancelled() => Err(FeedEnd::Cancelled),
            Some(problem) => {
                let text = Error::logs(&self.container, problem).to_string();
                self.notices.send(text, &self.sink)
            }
        }
    }

    /// Sends lines until kubectl ends.
    fn send_lines(
        &self,
        output: std::process::ChildStdout,
        line_filter: &mut LineFilter,
    ) -> Result<(), FeedEnd> {
        let (sender, read) = mpsc::sync_channel(MAX_QUEUED_BLOCKS);
        thread::spawn(move || {
            let mut blocks = read_blocks(output);
            while let Ok(Some(block)) = blocks.next() {
                if sender.send(block).is_err() {
                    return;
                }
            }
        });
        let started = Instant::now();
        loop {
            let wait = line_filter
                .due()
                .map_or(IDLE_TIMEOUT, |due| due.saturating_sub(started.elapsed()));
            let mut entries = Vec::new();
            match read.recv_timeout(wait) {
                Ok(block) => line_filter.take(block.bytes(), started.elapsed(), &mut entries),
                Err(RecvTimeoutError::Timeout) => line_filter.expire(started.elapsed(), &mut entries),
                Err(RecvTimeoutError::Disconnected) => {
                    line_filter.flush(&mut entries);
                    return self.send(entries);
                }
            }
            self.send(entries)?;
        }
    }

    fn send(&self, mut entries: Vec<Entry>) -> Result<(), FeedEnd> {
        while !entries.is_empty() {
            let rest = entries.split_off(entries.len().min(BATCH));
            self.sink.send_new(std::mem::replace(&mut entries, rest))?;
        }
        Ok(())
    }
}
