//! Reads a source in blocks of whole lines.

use std::{collections::VecDeque, io, path::PathBuf};

use log_normalizer::Time;
use memchr::{memchr, memrchr};
use schema::MAX_CONTENT_BYTES;

use super::{FileError, input::Input};

/// Longer lines are cut: the maximum content, and the kubelet's prefix.
pub const MAX_LINE_BYTES: usize = MAX_CONTENT_BYTES + 256;

/// Whole lines of one file.
#[derive(Debug, Default)]
pub struct Block {
    /// May be longer than `length`.
    buffer: Vec<u8>,
    length: usize,
    /// Offset in the file.
    pub offset: u64,
    /// When the file was last modified.
    pub changed: Option<Time>,
}

impl Block {
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }
}

/// Reads the files of one source in order. Memory is bounded: a block exceeds its size by at most one line, and lines
/// are cut at [`MAX_LINE_BYTES`].
pub struct BlockReader {
    files: VecDeque<Option<PathBuf>>,
    input: Option<Input>,
    size: usize,
    offset: u64,
    /// The start of the next block: an incomplete line.
    partial_line: Vec<u8>,
    /// An error to return after the blocks before it.
    error: Option<FileError>,
    /// Buffers to reuse.
    free_buffers: Vec<Vec<u8>>,
}

impl BlockReader {
    pub fn new(files: VecDeque<Option<PathBuf>>, size: usize) -> Self {
        Self {
            files,
            input: None,
            size,
            offset: 0,
            partial_line: Vec::new(),
            error: None,
            free_buffers: Vec::new(),
        }
    }

    /// Takes back the buffer of a block.
    pub fn reuse(&mut self, block: Block) {
        // Drop a buffer that a long line enlarged.
        if block.buffer.len() == self.size {
            self.free_buffers.push(block.buffer);
        }
    }

    /// Whether the current file is live: do not wait for more of it.
    pub fn is_live(&self) -> bool {
        self.input.as_ref().is_some_and(|input| input.is_live)
    }

    /// The next block; None at the end. An error is final.
    pub fn next(&mut self) -> Result<Option<Block>, FileError> {
        loop {
            if let Some(error) = self.error.take() {
                self.files.clear();
                return Err(error);
            }
            if self.input.is_none() {
                let Some(file) = self.files.pop_front() else {
                    return Ok(None);
                };
                match Input::open(file.as_deref()) {
                    Ok(input) => self.input = Some(input),
                    Err(error) => self.error = Some(error),
                }
                self.offset = 0;
                continue;
            }
            let block = self.read();
            if block.length > 0 {
                return Ok(Some(block));
            }
        }
    }

    /// Reads at least one line, up to a block; an empty block at the end of the file.
    fn read(&mut self) -> Block {
        let mut buffer = self.free_buffers.pop().unwrap_or_else(|| vec![0; self.size]);
        let mut length = self.partial_line.len();
        if buffer.len() <= length {
            buffer.resize(length + self.size, 0);
        }
        if let Some(begin) = buffer.get_mut(..length) {
            begin.copy_from_slice(&self.partial_line);
        }
        self.partial_line.clear();
        let offset = self.offset;
        let mut changed = None;
        while let Some(input) = &mut self.input {
            changed = input.changed;
            let room = buffer.get_mut(length..).unwrap_or_default();
            let read = match input.bytes.read(room) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    // The incomplete line may not be a line.
                    self.error = Some(FileError::io(&input.name)(error));
                    self.input = None;
                    length = whole_lines(&buffer, length);
                    break;
                }
            };
            length += read;
            if read == 0 {
                self.input = None;
                break;
            }
            if length < buffer.len() && !input.is_live {
                continue;
            }
            let end = whole_lines(&buffer, length);
            if end > 0 {
                self.partial_line
                    .extend_from_slice(buffer.get(end..length).unwrap_or_default());
                length = end;
                break;
            }
            if length > MAX_LINE_BYTES {
                let skipped = self.skip_line();
                self.offset += (length - MAX_LINE_BYTES) as u64 + skipped;
                length = MAX_LINE_BYTES;
                break;
            }
            if length == buffer.len() {
                buffer.resize(length + self.size, 0);
            }
        }
        self.offset += length as u64;
        Block {
            buffer,
            length,
            offset,
            changed,
        }
    }

    /// Skips to the next newline and keeps what follows; returns the number of skipped bytes.
    fn skip_line(&mut self) -> u64 {
        let mut skipped = 0;
        let mut buffer = vec![0; self.size];
        while let Some(input) = &mut self.input {
            match input.bytes.read(&mut buffer) {
                Ok(0) => self.input = None,
                Ok(read) => {
                    let read = buffer.get(..read).unwrap_or_default();
                    let Some(end) = memchr(b'\n', read) else {
                        skipped += read.len() as u64;
                        continue;
                    };
                    self.partial_line
                        .extend_from_slice(read.get(end + 1..).unwrap_or_default());
                    return skipped + end as u64 + 1;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.error = Some(FileError::io(&input.name)(error));
                    self.input = None;
                }
            }
        }
        skipped
    }
}

/// The length of the whole lines.
fn whole_lines(buffer: &[u8], length: usize) -> usize {
    memrchr(b'\n', buffer.get(..length).unwrap_or_default()).map_or(0, |end| end + 1)
}
