//! Processes blocks on all cores, with results in order.

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

use log_normalizer::{Joiner, Origin, RawLine, json::Arena};

use super::{
    ContainerFiles, FileError, LogSource, PlainFile,
    blocks::{Block, BlockReader},
    line_splitter::LineSplitter,
};
use crate::filter::{Filter, Lack};

/// What to do with lines.
pub trait Work: Send + Sync + 'static {
    /// The result for a block.
    type Output: Send + 'static;

    fn empty(&self) -> Self::Output;

    /// Returns what the line lacks, if it is left out because of that. `arena`: empty memory for the line.
    fn add_line(
        &self,
        line: &RawLine<'_>,
        origin: &Origin,
        arena: &Arena,
        output: &mut Self::Output,
    ) -> Option<Lack>;
}

/// A thread for each core. The threads end when the last sender is dropped.
pub struct WorkerPool<W: Work> {
    work: Arc<W>,
    jobs: Sender<BlockJob<W>>,
    threads: usize,
}

struct BlockJob<W: Work> {
    block: Block,
    splitter: Arc<LineSplitter>,
    done: Sender<JobResult<W>>,
}

struct JobResult<W: Work> {
    output: BlockOutput<W>,
    block: Block,
    /// The joiner after the block, if it was empty before.
    joiner: Joiner,
}

/// The output of a block, and what the lines lack that it left out.
struct BlockOutput<W: Work> {
    output: W::Output,
    without_time: u64,
    without_level: u64,
}

impl<W: Work> WorkerPool<W> {
    pub fn new(work: W) -> Self {
        let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (jobs, queue) = mpsc::channel::<BlockJob<W>>();
        let (work, queue) = (Arc::new(work), Arc::new(Mutex::new(queue)));
        for _ in 0..threads {
            let (work, queue) = (Arc::clone(&work), Arc::clone(&queue));
            thread::spawn(move || {
                let next = || queue.lock().ok()?.recv().ok();
                while let Some(BlockJob {
                    block,
                    splitter,
                    done,
                }) = next()
                {
                    let mut joiner = Joiner::new();
                    let output = process_block(&*work, &splitter, &block, &mut joiner);
                    // The receiver may be gone.
                    let _ = done.send(JobResult {
                        output,
                        block,
                        joiner,
                    });
                }
            });
        }
        Self { work, jobs, threads }
    }

    /// Processes one of several sources.
    pub fn source(&self, source: LogSource, filter: &Filter, sources: usize) -> OrderedResults<W> {
        let size = (MAX_BUFFERED_BYTES / sources.max(1)).clamp(MIN_BLOCK_BYTES, MAX_BLOCK_BYTES);
        let ahead = if sources == 1 { 2 * self.threads } else { 1 };
        self.source_in_blocks(source, filter, size, ahead)
    }

    /// The same with a block size, and a number of blocks in flight.
    pub fn source_in_blocks(
        &self,
        source: LogSource,
        filter: &Filter,
        size: usize,
        ahead: usize,
    ) -> OrderedResults<W> {
        let (origin, files) = match source {
            LogSource::Container(ContainerFiles { origin, files }) => {
                (origin, files.into_iter().map(Some).collect())
            }
            LogSource::File(PlainFile { file }) => {
                (Origin::Source(name(file.as_deref())), VecDeque::from([file]))
            }
        };
        OrderedResults {
            blocks: BlockReader::new(files, size),
            splitter: Arc::new(LineSplitter::new(origin, filter)),
            work: Arc::clone(&self.work),
            jobs: self.jobs.clone(),
            ahead,
            in_flight: VecDeque::new(),
            joiner: Joiner::new(),
            error: None,
            stage: Stage::ReadMode,
        }
    }
}

/// The file name in its lines.
fn name(file: Option<&Path>) -> String {
    file.unwrap_or(Path::new("-")).display().to_string()
}

/// Total size of the blocks in flight, unless there are many sources.
const MAX_BUFFERED_BYTES: usize = 8 * 1024 * 1024;
/// Block size for a single source.
const MAX_BLOCK_BYTES: usize = 1024 * 1024;
/// Block size for many sources.
const MIN_BLOCK_BYTES: usize = 64 * 1024;

/// The results of one source in block order.
pub struct OrderedResults<W: Work> {
    blocks: BlockReader,
    splitter: Arc<LineSplitter>,
    work: Arc<W>,
    jobs: Sender<BlockJob<W>>,
    /// Maximum number of blocks in flight.
    ahead: usize,
    in_flight: VecDeque<Receiver<JobResult<W>>>,
    /// The joiner after the delivered blocks.
    joiner: Joiner,
    error: Option<FileError>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    ReadMode,
    Read,
    Ended,
}

impl<W: Work> OrderedResults<W> {
    /// A block that is processed again is counted once: here.
    fn deliver(&self, block: BlockOutput<W>) -> W::Output {
        if let Some(left_out) = &self.splitter.left_out {
            left_out.add(Lack::Time, block.without_time);
            left_out.add(Lack::Level, block.without_level);
        }
        block.output
    }

    fn send_blocks(&mut self) {
        while self.stage == Stage::ReadMode && self.in_flight.len() < self.ahead {
            // For a pipe, deliver the result before waiting for more.
            if self.blocks.is_live() && !self.in_flight.is_empty() {
                return;
            }
            let block = match self.blocks.next() {
                Ok(Some(block)) => block,
                Ok(None) => {
                    self.stage = Stage::Read;
                    return;
                }
                Err(error) => {
                    self.error = Some(error);
                    self.stage = Stage::Read;
                    return;
                }
            };
            let (done, result) = mpsc::channel();
            let splitter = Arc::clone(&self.splitter);
            // If all threads are gone, the result says so.
            let _ = self.jobs.send(BlockJob {
                block,
                splitter,
                done,
            });
            self.in_flight.push_back(result);
        }
    }
}

impl<W: Work> Iterator for OrderedResults<W> {
    type Item = Result<W::Output, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.send_blocks();
        if let Some(result) = self.in_flight.pop_front() {
            let Ok(done) = result.recv() else {
                self.in_flight.clear();
                self.stage = Stage::Ended;
                return Some(Err(FileError::Thread));
            };
            let mut output = done.output;
            // The block may continue a line of the previous one: process it again with the real joiner.
            if self.joiner.due().is_none() {
                self.joiner = done.joiner;
            } else {
                output = process_block(&*self.work, &self.splitter, &done.block, &mut self.joiner);
            }
            self.blocks.reuse(done.block);
            if !self.blocks.is_live() {
                self.send_blocks();
            }
            return Some(Ok(self.deliver(output)));
        }
        if let Some(error) = self.error.take() {
            return Some(Err(error));
        }
        if mem::replace(&mut self.stage, Stage::Ended) == Stage::Ended {
            return None;
        }
        let mut block = BlockOutput::empty(&*self.work);
        self.splitter.flush(&mut self.joiner, &mut |line| {
            block.add_line(&*self.work, line, &self.splitter.origin, &Arena::new());
        });
        Some(Ok(self.deliver(block)))
    }
}

fn process_block<W: Work>(
    work: &W,
    splitter: &LineSplitter,
    block: &Block,
    joiner: &mut Joiner,
) -> BlockOutput<W> {
    let mut output = BlockOutput::empty(work);
    let mut arena = Arena::new();
    splitter.for_each_line(block, joiner, &mut |line| {
        arena.reset();
        output.add_line(work, line, &splitter.origin, &arena);
    });
    output
}

impl<W: Work> BlockOutput<W> {
    fn empty(work: &W) -> Self {
        Self {
            output: work.empty(),
            without_time: 0,
            without_level: 0,
        }
    }

    fn add_line(&mut self, work: &W, line: &RawLine<'_>, origin: &Origin, arena: &Arena) {
        match work.add_line(line, origin, arena, &mut self.output) {
            Some(Lack::Time) => self.without_time += 1,
            Some(Lack::Level) => self.without_level += 1,
            None => {}
        }
    }
}
