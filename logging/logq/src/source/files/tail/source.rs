//! The files of one container, or one file.

use std::{io, path::PathBuf, time::Duration};

use line::{Joiner, Line, Origin, normalize};
use memchr::memchr;

use super::{
    file::{Chunk, Growing},
    positions::{FileId, Position},
};
use crate::source::{
    Entry,
    files::{blocks::MAX_LINE_BYTES, lines::Part},
};

/// How late a line may be seen after it was written. So much longer than a joiner says a line is held, so that what belongs
/// together by its times is joined, whenever it is read.
const LATE: Duration = Duration::from_millis(500);

/// Lines that follow each other.
#[derive(Debug)]
pub struct Followed {
    pub origin: Origin,
    /// The oldest first.
    pub files: Vec<Growing>,
    /// Nothing is read before: what is known of the pod may be about to come.
    pub patience: Duration,
    joiner: Joiner,
    /// How far the files were read when the joiner began to hold something.
    held: Option<Vec<(FileId, Position)>>,
}

impl Followed {
    pub fn new(origin: Origin, patience: Duration) -> Self {
        Self {
            origin,
            files: Vec::new(),
            patience,
            joiner: Joiner::new(),
            held: None,
        }
    }

    /// Reads a part of what there is; returns how many bytes, and which file cannot be read.
    pub fn read(&mut self, now: Duration, out: &mut Vec<Entry>) -> (usize, Option<(PathBuf, io::Error)>) {
        if now < self.patience {
            return (0, None);
        }
        let mut read = 0;
        let mut failed = None;
        for number in 0..self.files.len() {
            let last = number + 1 == self.files.len();
            let Some(file) = self.files.get_mut(number) else {
                continue;
            };
            match file.read(now, last) {
                Ok(Some(chunk)) => {
                    read += chunk.bytes.len();
                    self.take(number, &chunk, now, out);
                    // The next file's lines come after this one's last.
                    break;
                }
                Ok(None) => file.rest(now, last),
                Err(error) => failed = Some((file.path.clone(), error)),
            }
        }
        let (joiner, origin) = (&mut self.joiner, &self.origin);
        joiner.expire(now.saturating_sub(LATE), &mut |line| {
            out.push(entry(&line, origin));
        });
        if self.joiner.due().is_none() {
            self.held = None;
        }
        (read, failed)
    }

    fn take(&mut self, number: usize, chunk: &Chunk, now: Duration, out: &mut Vec<Entry>) {
        if chunk.anew {
            self.end(out);
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
            let Some(part) = Part::read(line, kubelet, chunk.changed, offset) else {
                continue;
            };
            let origin = &self.origin;
            part.push(&mut self.joiner, now, &mut |line| out.push(entry(&line, origin)));
            if self.joiner.due().is_none() {
                self.held = None;
            } else if self.held.is_none() {
                self.held = Some(self.read_so_far());
            }
        }
        if let Some(file) = self.files.get_mut(number) {
            file.offset = chunk.next;
        }
    }

    /// Gives on all that is held: nothing goes on with it.
    pub fn end(&mut self, out: &mut Vec<Entry>) {
        let origin = &self.origin;
        self.joiner.flush(&mut |line| out.push(entry(&line, origin)));
        self.held = None;
    }

    fn read_so_far(&self) -> Vec<(FileId, Position)> {
        let position = |file: &Growing| (file.id, file.position());
        self.files.iter().map(position).collect()
    }

    /// From where on lines have not been given out.
    pub fn positions(&self) -> Vec<(FileId, Position)> {
        self.held.clone().unwrap_or_else(|| self.read_so_far())
    }
}

fn entry(line: &Line<'_>, origin: &Origin) -> Entry {
    Entry {
        document: normalize(line, origin),
        raw: Some(line.content.to_vec()),
    }
}
