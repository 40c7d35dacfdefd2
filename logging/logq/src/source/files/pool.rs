//! Work on blocks, on all cores, its results in order.

use std::{
    collections::VecDeque,
    mem,
    path::Path,
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, Sender},
    },
    thread,
};

use line::{Joiner, Line, Origin};

use super::{
    Container, FileError, Found, Plain,
    blocks::{Block, Blocks},
    lines::Source,
};
use crate::filter::Filter;

/// What is done with lines.
pub trait Work: Send + Sync + 'static {
    /// What the lines of a block become.
    type Made: Send + 'static;

    /// What no lines become.
    fn nothing(&self) -> Self::Made;

    /// Adds a line.
    fn line(&self, line: &Line<'_>, origin: &Origin, made: &mut Self::Made);
}

/// Threads that work on blocks, one for each core. They end with the last
/// one that sends them blocks.
pub struct Pool<W: Work> {
    work: Arc<W>,
    jobs: Sender<Job<W>>,
    threads: usize,
}

struct Job<W: Work> {
    block: Block,
    source: Arc<Source>,
    done: Sender<Done<W>>,
}

struct Done<W: Work> {
    made: W::Made,
    block: Block,
    /// What is held at the block's end, if nothing was at its beginning.
    joiner: Joiner,
}

impl<W: Work> Pool<W> {
    /// Starts the threads.
    pub fn new(work: W) -> Self {
        let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (jobs, queue) = mpsc::channel::<Job<W>>();
        let (work, queue) = (Arc::new(work), Arc::new(Mutex::new(queue)));
        for _ in 0..threads {
            let (work, queue) = (Arc::clone(&work), Arc::clone(&queue));
            thread::spawn(move || {
                let next = || queue.lock().ok()?.recv().ok();
                while let Some(Job { block, source, done }) = next() {
                    let mut joiner = Joiner::new();
                    let made = make(&*work, &source, &block, &mut joiner);
                    // Who does not wait any more needs nothing.
                    let _ = done.send(Done { made, block, joiner });
                }
            });
        }
        Self { work, jobs, threads }
    }

    /// One of so many sources, of which lines are wanted that fit a filter.
    pub fn source(&self, found: Found, filter: &Filter, sources: usize) -> Ordered<W> {
        let size = (MOST_BYTES / sources.max(1)).clamp(LEAST_BLOCK_BYTES, MOST_BLOCK_BYTES);
        let ahead = if sources == 1 { 2 * self.threads } else { 1 };
        self.source_in_blocks(found, filter, size, ahead)
    }

    /// The same in blocks of so many bytes, so many of them at a time.
    pub(super) fn source_in_blocks(
        &self,
        found: Found,
        filter: &Filter,
        size: usize,
        ahead: usize,
    ) -> Ordered<W> {
        let (origin, files) = match found {
            Found::Container(Container { origin, files }) => (origin, files.into_iter().map(Some).collect()),
            Found::Plain(Plain { file }) => (Origin::Source(name(file.as_deref())), VecDeque::from([file])),
        };
        Ordered {
            blocks: Blocks::new(files, size),
            source: Arc::new(Source::new(origin, filter)),
            work: Arc::clone(&self.work),
            jobs: self.jobs.clone(),
            ahead,
            begun: VecDeque::new(),
            joiner: Joiner::new(),
            failed: None,
            stage: Stage::Reading,
        }
    }
}

/// A file's name, as its lines carry it.
fn name(file: Option<&Path>) -> String {
    file.unwrap_or(Path::new("-")).display().to_string()
}

/// Bytes of all sources that are held at a time, if they are not many.
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of a block of the only source.
const MOST_BLOCK_BYTES: usize = 1024 * 1024;
/// Bytes of a block of one of many.
const LEAST_BLOCK_BYTES: usize = 64 * 1024;

/// What the lines of one source become, block by block in their order.
pub struct Ordered<W: Work> {
    blocks: Blocks,
    source: Arc<Source>,
    work: Arc<W>,
    jobs: Sender<Job<W>>,
    /// So many blocks are worked on at a time.
    ahead: usize,
    begun: VecDeque<Receiver<Done<W>>>,
    /// What is held at the end of the blocks that were given out.
    joiner: Joiner,
    failed: Option<FileError>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Reading,
    Read,
    Ended,
}

impl<W: Work> Ordered<W> {
    fn send_blocks(&mut self) {
        while self.stage == Stage::Reading && self.begun.len() < self.ahead {
            // What was read of a pipe is shown before more is waited for.
            if self.blocks.is_live() && !self.begun.is_empty() {
                return;
            }
            let block = match self.blocks.next() {
                Ok(Some(block)) => block,
                Ok(None) => {
                    self.stage = Stage::Read;
                    return;
                }
                Err(error) => {
                    self.failed = Some(error);
                    self.stage = Stage::Read;
                    return;
                }
            };
            let (done, result) = mpsc::channel();
            let source = Arc::clone(&self.source);
            // When all threads have ended, the result will tell.
            let _ = self.jobs.send(Job { block, source, done });
            self.begun.push_back(result);
        }
    }
}

impl<W: Work> Iterator for Ordered<W> {
    type Item = Result<W::Made, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.send_blocks();
        if let Some(result) = self.begun.pop_front() {
            let Ok(done) = result.recv() else {
                self.begun.clear();
                self.stage = Stage::Ended;
                return Some(Err(FileError::Thread));
            };
            let mut made = done.made;
            // A block may go on with what the one before it has begun.
            if self.joiner.due().is_none() {
                self.joiner = done.joiner;
            } else {
                made = make(&*self.work, &self.source, &done.block, &mut self.joiner);
            }
            self.blocks.reuse(done.block);
            if !self.blocks.is_live() {
                self.send_blocks();
            }
            return Some(Ok(made));
        }
        if let Some(error) = self.failed.take() {
            return Some(Err(error));
        }
        if mem::replace(&mut self.stage, Stage::Ended) == Stage::Ended {
            return None;
        }
        let mut made = self.work.nothing();
        self.source.end(&mut self.joiner, &mut |line| {
            self.work.line(line, &self.source.origin, &mut made);
        });
        Some(Ok(made))
    }
}

fn make<W: Work>(work: &W, source: &Source, block: &Block, joiner: &mut Joiner) -> W::Made {
    let mut made = work.nothing();
    source.each(block, joiner, &mut |line| {
        work.line(line, &source.origin, &mut made);
    });
    made
}
