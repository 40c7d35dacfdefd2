//! A growing file.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::PathBuf,
    time::{Duration, UNIX_EPOCH},
};

use log_normalizer::Time;
use memchr::{memchr, memrchr};

use super::positions::{FilePosition, Prefix};
use crate::source::files::{blocks::MAX_LINE_BYTES, folder::FileId};

/// Bytes to read before it is another file's turn.
pub const READ_BYTES: usize = 512 * 1024;

/// How long a renamed file may still grow.
const RENAME_QUIET_TIME: Duration = Duration::from_secs(30);

/// How long to wait for the rest of a line after a newer file was started.
const PARTIAL_LINE_TIMEOUT: Duration = Duration::from_secs(5);

/// A file, identified by device and inode.
#[derive(Debug)]
pub struct TailedFile {
    pub id: FileId,
    /// The last known path.
    pub path: PathBuf,
    pub exists: bool,
    /// The file name in its lines.
    name: String,
    /// Where the next line starts.
    pub offset: u64,
    prefix: Prefix,
    open: Option<File>,
    /// Closed until it grows.
    is_dormant: bool,
    /// How far an overlong line was searched for its end.
    searched_to: u64,
    size: u64,
    /// When it last grew.
    last_growth: Duration,
}

/// Whole lines.
pub struct FileChunk {
    pub bytes: Vec<u8>,
    pub offset: u64,
    /// Offset of the next line.
    pub next: u64,
    /// When the file was last modified.
    pub changed: Option<Time>,
    /// Whether the file was truncated since the last read.
    pub truncated: bool,
}

impl TailedFile {
    /// A new file, or one with a saved position.
    pub fn new(id: FileId, path: PathBuf, saved: Option<FilePosition>, now: Duration) -> Self {
        let saved = saved.unwrap_or_else(|| FilePosition {
            name: path.display().to_string(),
            prefix: Prefix::default(),
            offset: 0,
        });
        Self {
            id,
            path,
            exists: true,
            name: saved.name,
            offset: saved.offset,
            prefix: saved.prefix,
            open: None,
            is_dormant: false,
            searched_to: 0,
            size: 0,
            last_growth: now,
        }
    }

    /// The file name in its lines.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn position(&self) -> FilePosition {
        FilePosition {
            name: self.name.clone(),
            prefix: self.prefix,
            offset: self.offset,
        }
    }

    /// Skips all existing whole lines.
    ///
    /// # Errors
    /// An I/O error.
    pub fn skip_to_end(&mut self) -> io::Result<()> {
        while let Some(chunk) = self.read(Duration::ZERO, false)? {
            self.offset = chunk.next;
        }
        Ok(())
    }

    /// Reads whole lines. `last`: no newer file continues this one.
    ///
    /// # Errors
    /// An I/O error. A moved file is not an error.
    pub fn read(&mut self, now: Duration, last: bool) -> io::Result<Option<FileChunk>> {
        if self.is_dormant || !self.ensure_open()? {
            return Ok(None);
        }
        let Some(file) = &self.open else {
            return Ok(None);
        };
        let data = file.metadata()?;
        let size = data.len();
        if size != self.size {
            (self.size, self.last_growth) = (size, now);
        }
        if size == self.offset {
            return Ok(None);
        }
        let mut truncated = false;
        if size < self.offset || !self.prefix.matches(file, size)? {
            (self.offset, self.searched_to, self.prefix) = (0, 0, Prefix::default());
            self.name = self.path.display().to_string();
            truncated = true;
        }
        if self.prefix.is_short() {
            self.prefix = Prefix::read(file, size)?;
        }
        let ended = (!last || !self.exists) && now.saturating_sub(self.last_growth) >= PARTIAL_LINE_TIMEOUT;
        let reader = LineReader {
            file,
            size,
            offset: self.offset,
            searched_to: &mut self.searched_to,
        };
        let Some((bytes, next)) = reader.take(ended)? else {
            return Ok(None);
        };
        let changed = data
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .and_then(|age| i64::try_from(age.as_nanos()).ok())
            .map(Time::from_nanos);
        Ok(Some(FileChunk {
            bytes,
            offset: self.offset,
            next,
            changed,
            truncated,
        }))
    }

    /// Opens the file at its last known path, if it is still there.
    fn ensure_open(&mut self) -> io::Result<bool> {
        if self.open.is_some() {
            return Ok(true);
        }
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            file => file?,
        };
        let is_same_file = FileId::from_metadata(&file.metadata()?) == self.id;
        if is_same_file {
            self.open = Some(file);
        }
        Ok(is_same_file)
    }

    /// Closes a fully read file that is not the current one.
    pub fn close_if_idle(&mut self, now: Duration, last: bool) {
        if (!last || !self.exists)
            && self.offset == self.size
            && now.saturating_sub(self.last_growth) >= RENAME_QUIET_TIME
        {
            self.open = None;
            self.is_dormant = true;
        }
    }

    /// Updates path and size.
    pub fn update(&mut self, path: PathBuf, size: u64) {
        self.path = path;
        self.exists = true;
        self.is_dormant &= size == self.size;
    }

    /// Whether no more lines will come.
    pub const fn is_finished(&self) -> bool {
        !self.exists && self.open.is_none()
    }
}

struct LineReader<'f> {
    file: &'f File,
    size: u64,
    offset: u64,
    searched_to: &'f mut u64,
}

impl LineReader<'_> {
    /// Reads whole lines, and returns the offset of the next one. With `ended`, also reads an incomplete line.
    fn take(self, ended: bool) -> io::Result<Option<(Vec<u8>, u64)>> {
        let left = self.size - self.offset;
        for limit in [READ_BYTES, MAX_LINE_BYTES] {
            let mut bytes = self.bytes(self.offset, limit)?;
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
        // An overlong line: only its start counts, once its end is found.
        let mut at = (self.offset + MAX_LINE_BYTES as u64).max(*self.searched_to);
        while at < self.size {
            let bytes = self.bytes(at, READ_BYTES)?;
            if bytes.is_empty() {
                break;
            }
            if let Some(end) = memchr(b'\n', &bytes) {
                *self.searched_to = 0;
                return Ok(Some((
                    self.bytes(self.offset, MAX_LINE_BYTES)?,
                    at + end as u64 + 1,
                )));
            }
            at += bytes.len() as u64;
        }
        *self.searched_to = at;
        if ended {
            *self.searched_to = 0;
            return Ok(Some((self.bytes(self.offset, MAX_LINE_BYTES)?, self.size)));
        }
        Ok(None)
    }

    fn bytes(&self, offset: u64, limit: usize) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; limit.min(left)];
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
