//! The files of one container, or one file.

use std::{io, path::PathBuf, time::Duration};

use line::{Joiner, Line, Origin, normalize};
use memchr::memchr;

use super::{
    file::{Chunk, TailedFile},
    positions::{FileId, Position},
};
use crate::source::{
    Entry,
    files::{blocks::MAX_LINE_BYTES, line_splitter::PhysicalLine},
};

/// How late a line may be seen after it was written. So much longer than a joiner says a line is held, so that what belongs
/// together by its times is joined, whenever it is read.
const MAX_READ_DELAY: Duration = Duration::from_millis(500);

/// Lines that follow each other.
#[derive(Debug)]
pub struct TailedSource {
    pub origin: Origin,
    /// The oldest first.
    pub files: Vec<TailedFile>,
    /// Nothing is read before: what is known of the pod may be about to come.
    pub read_after: Duration,
    joiner: Joiner,
    /// How far the files were read when the joiner began to hold something.
    held_since: Option<Vec<(FileId, Position)>>,
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

    /// Reads a part of what there is; returns how many bytes, and which file cannot be read.
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
                    // The next file's lines come after this one's last.
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

    fn process_chunk(&mut self, number: usize, chunk: &Chunk, now: Duration, out: &mut Vec<Entry>) {
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

    /// Gives on all that is held: nothing goes on with it.
    pub fn flush(&mut self, out: &mut Vec<Entry>) {
        let origin = &self.origin;
        self.joiner.flush(&mut |line| out.push(to_entry(&line, origin)));
        self.held_since = None;
    }

    fn current_positions(&self) -> Vec<(FileId, Position)> {
        let position = |file: &TailedFile| (file.id, file.position());
        self.files.iter().map(position).collect()
    }

    /// From where on lines have not been given out.
    pub fn positions(&self) -> Vec<(FileId, Position)> {
        self.held_since
            .clone()
            .unwrap_or_else(|| self.current_positions())
    }
}

fn to_entry(line: &Line<'_>, origin: &Origin) -> Entry {
    Entry {
        document: normalize(line, origin),
        raw: Some(line.content.to_vec()),
    }
}
