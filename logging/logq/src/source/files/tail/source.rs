//! Reads the files of a container, or a single file.

use std::{io, path::PathBuf, time::Duration};

use log_normalizer::{Joiner, Origin, RawLine, normalize};
use memchr::memchr;

use super::{
    file::{FileChunk, TailedFile},
    positions::FilePosition,
};
use crate::{
    entry::Entry,
    source::files::{blocks::MAX_LINE_BYTES, folder::FileId, line_splitter::PhysicalLine},
};

/// Maximum delay between writing and reading a line. The joiner waits this much longer, so that joining depends only on
/// the times of the lines.
const MAX_READ_DELAY: Duration = Duration::from_millis(500);

/// A followed source.
#[derive(Debug)]
pub struct TailedSource {
    pub origin: Origin,
    /// Oldest first.
    pub files: Vec<TailedFile>,
    /// Start reading at this time: the pod's metadata may arrive before.
    pub read_after: Duration,
    joiner: Joiner,
    /// Read positions when the joiner became non-empty.
    held_since: Option<Vec<(FileId, FilePosition)>>,
}

impl TailedSource {
    pub fn new(origin: Origin, read_after: Duration) -> Self {
        Self {
            origin,
            files: Vec::new(),
            read_after,
            joiner: Joiner::new(),
            held_since: None,
        }
    }

    /// Reads a part; returns the number of bytes, and an unreadable file.
    pub fn read(&mut self, now: Duration, out: &mut Vec<Entry>) -> (usize, Option<(PathBuf, io::Error)>) {
        if now < self.read_after {
            return (0, None);
        }
        let mut read = 0;
        let mut failed = None;
        for number in 0..self.files.len() {
            let is_newest = number + 1 == self.files.len();
            let Some(file) = self.files.get_mut(number) else {
                continue;
            };
            match file.read(now, is_newest) {
                Ok(Some(chunk)) => {
                    read += chunk.bytes.len();
                    self.process_chunk(number, &chunk, now, out);
                    // Lines of the next file follow this one's.
                    break;
                }
                Ok(None) => file.close_if_idle(now, is_newest),
                Err(error) => failed = Some((file.path.clone(), error)),
            }
        }
        let (joiner, origin) = (&mut self.joiner, &self.origin);
        joiner.expire(now.saturating_sub(MAX_READ_DELAY), &mut |line| {
            out.push(to_entry(&line, origin));
        });
        if self.joiner.due().is_none() {
            self.held_since = None;
        }
        (read, failed)
    }

    fn process_chunk(&mut self, number: usize, chunk: &FileChunk, now: Duration, out: &mut Vec<Entry>) {
        if chunk.truncated {
            self.flush(out);
            if let (Origin::Source(name), Some(file)) = (&mut self.origin, self.files.get(number)) {
                file.name().clone_into(name);
            }
        }
        let kubelet = matches!(self.origin, Origin::Pod(_));
        let mut at = 0;
        while at < chunk.bytes.len() {
            let rest = chunk.bytes.get(at..).unwrap_or_default();
            let end = memchr(b'\n', rest).unwrap_or(rest.len());
            let line = rest.get(..end.min(MAX_LINE_BYTES)).unwrap_or_default();
            let offset = chunk.offset + at as u64;
            at += end + 1;
            if let Some(file) = self.files.get_mut(number) {
                file.offset = offset;
            }
            let Some(part) = PhysicalLine::read(line, kubelet, chunk.changed, offset) else {
                continue;
            };
            let origin = &self.origin;
            part.push(&mut self.joiner, now, &mut |line| {
                out.push(to_entry(&line, origin))
            });
            if self.joiner.due().is_none() {
                self.held_since = None;
            } else if self.held_since.is_none() {
                self.held_since = Some(self.current_positions());
            }
        }
        if let Some(file) = self.files.get_mut(number) {
            file.offset = chunk.next;
        }
    }

    /// Flushes the joiner.
    pub fn flush(&mut self, out: &mut Vec<Entry>) {
        let origin = &self.origin;
        self.joiner.flush(&mut |line| out.push(to_entry(&line, origin)));
        self.held_since = None;
    }

    fn current_positions(&self) -> Vec<(FileId, FilePosition)> {
        let position = |file: &TailedFile| (file.id, file.position());
        self.files.iter().map(position).collect()
    }

    /// Read positions after the delivered lines.
    pub fn positions(&self) -> Vec<(FileId, FilePosition)> {
        self.held_since
            .clone()
            .unwrap_or_else(|| self.current_positions())
    }
}

fn to_entry(line: &RawLine<'_>, origin: &Origin) -> Entry {
    Entry {
        document: normalize(line, origin),
        raw: Some(line.content.to_vec()),
    }
}
