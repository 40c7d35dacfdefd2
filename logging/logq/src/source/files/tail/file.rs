//! One file that grows.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::PathBuf,
    time::{Duration, UNIX_EPOCH},
};

use line::Time;
use memchr::{memchr, memrchr};

use super::positions::{FileId, Position, Prefix};
use crate::source::files::blocks::MAX_LINE_BYTES;

/// Bytes that are read of a file before it is another's turn.
pub const TURN_BYTES: usize = 512 * 1024;

/// How long a file that has been renamed may still be written to.
const QUIET: Duration = Duration::from_secs(30);

/// How long the rest of a line is waited for in a file after which another was begun.
const REST: Duration = Duration::from_secs(5);

/// A file, known by what it is and not by what it is called.
#[derive(Debug)]
pub struct Growing {
    pub id: FileId,
    /// Where it was seen last.
    pub path: PathBuf,
    /// Whether it is still there.
    pub there: bool,
    /// What its lines are called after.
    name: String,
    /// Where the next line begins.
    pub offset: u64,
    prefix: Prefix,
    open: Option<File>,
    /// Closed, until it is seen to have grown.
    resting: bool,
    /// Up to where a line that is longer than may be kept has no end.
    searched: u64,
    size: u64,
    /// When it was seen to grow.
    grown: Duration,
}

/// Whole lines.
pub struct Chunk {
    pub bytes: Vec<u8>,
    /// Where they begin.
    pub offset: u64,
    /// Where the line after them begins.
    pub next: u64,
    /// When the file was written last.
    pub changed: Option<Time>,
    /// Whether it was emptied since it was read last.
    pub anew: bool,
}

impl Growing {
    /// A file of which nothing has been read, or so much as is said.
    pub fn new(id: FileId, path: PathBuf, known: Option<Position>, now: Duration) -> Self {
        let known = known.unwrap_or_else(|| Position {
            name: path.display().to_string(),
            prefix: Prefix::default(),
            offset: 0,
        });
        Self {
            id,
            path,
            there: true,
            name: known.name,
            offset: known.offset,
            prefix: known.prefix,
            open: None,
            resting: false,
            searched: 0,
            size: 0,
            grown: now,
        }
    }

    /// What its lines are called after.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How far it was read.
    pub fn position(&self) -> Position {
        Position {
            name: self.name.clone(),
            prefix: self.prefix,
            offset: self.offset,
        }
    }

    /// Leaves out all whole lines that are there now.
    ///
    /// # Errors
    /// The system's.
    pub fn skip(&mut self) -> io::Result<()> {
        while let Some(chunk) = self.read(Duration::ZERO, false)? {
            self.offset = chunk.next;
        }
        Ok(())
    }

    /// The next whole lines. `last` says that no other file goes on where this one ends.
    ///
    /// # Errors
    /// The system's. A file that is no longer where it was seen is none.
    pub fn read(&mut self, now: Duration, last: bool) -> io::Result<Option<Chunk>> {
        if self.resting || !self.opened()? {
            return Ok(None);
        }
        let Some(file) = &self.open else {
            return Ok(None);
        };
        let data = file.metadata()?;
        let size = data.len();
        if size != self.size {
            (self.size, self.grown) = (size, now);
        }
        if size == self.offset {
            return Ok(None);
        }
        let mut anew = false;
        if size < self.offset || !self.prefix.fits(file, size)? {
            (self.offset, self.searched, self.prefix) = (0, 0, Prefix::default());
            self.name = self.path.display().to_string();
            anew = true;
        }
        if self.prefix.is_short() {
            self.prefix = Prefix::of(file, size)?;
        }
        let ended = (!last || !self.there) && now.saturating_sub(self.grown) >= REST;
        let lines = Lines {
            file,
            size,
            offset: self.offset,
            searched: &mut self.searched,
        };
        let Some((bytes, next)) = lines.take(ended)? else {
            return Ok(None);
        };
        let changed = data
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .and_then(|age| i64::try_from(age.as_nanos()).ok())
            .map(Time::from_nanos);
        Ok(Some(Chunk {
            bytes,
            offset: self.offset,
            next,
            changed,
            anew,
        }))
    }

    /// Opens it where it was seen last, if it is still there.
    fn opened(&mut self) -> io::Result<bool> {
        if self.open.is_some() {
            return Ok(true);
        }
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            file => file?,
        };
        let is_it = FileId::of(&file.metadata()?) == self.id;
        if is_it {
            self.open = Some(file);
        }
        Ok(is_it)
    }

    /// Closes what has been read and is not the file that is written to.
    pub fn rest(&mut self, now: Duration, last: bool) {
        if (!last || !self.there) && self.offset == self.size && now.saturating_sub(self.grown) >= QUIET {
            self.open = None;
            self.resting = true;
        }
    }

    /// It was seen, of this size.
    pub fn seen(&mut self, path: PathBuf, size: u64) {
        self.path = path;
        self.there = true;
        self.resting &= size == self.size;
    }

    /// Whether nothing will come of it any more.
    pub const fn is_over(&self) -> bool {
        !self.there && self.open.is_none()
    }
}

struct Lines<'f> {
    file: &'f File,
    size: u64,
    offset: u64,
    searched: &'f mut u64,
}

impl Lines<'_> {
    /// Whole lines, and where the next begins; with `ended`, also what has no end.
    fn take(self, ended: bool) -> io::Result<Option<(Vec<u8>, u64)>> {
        let left = self.size - self.offset;
        for most in [TURN_BYTES, MAX_LINE_BYTES] {
            let mut bytes = self.bytes(self.offset, most)?;
            if let Some(end) = memrchr(b'\n', &bytes) {
                bytes.truncate(end + 1);
                let next = self.offset + bytes.len() as u64;
                return Ok(Some((bytes, next)));
            }
            if bytes.len() as u64 == left {
                let next = self.size;
                return Ok(ended.then_some((bytes, next)));
            }
        }
        // Longer than may be kept: its beginning counts, once its end is known.
        let mut at = (self.offset + MAX_LINE_BYTES as u64).max(*self.searched);
        while at < self.size {
            let bytes = self.bytes(at, TURN_BYTES)?;
            if bytes.is_empty() {
                break;
            }
            if let Some(end) = memchr(b'\n', &bytes) {
                *self.searched = 0;
                return Ok(Some((
                    self.bytes(self.offset, MAX_LINE_BYTES)?,
                    at + end as u64 + 1,
                )));
            }
            at += bytes.len() as u64;
        }
        *self.searched = at;
        if ended {
            *self.searched = 0;
            return Ok(Some((self.bytes(self.offset, MAX_LINE_BYTES)?, self.size)));
        }
        Ok(None)
    }

    fn bytes(&self, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; most.min(left)];
        let mut length = 0;
        while let Some(room) = bytes.get_mut(length..).filter(|room| !room.is_empty()) {
            match self.file.read_at(room, offset + length as u64) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(length);
        Ok(bytes)
    }
}
