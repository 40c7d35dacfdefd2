//! Files that grow, as lines are added to them: new ones, renamed ones, emptied ones, and folders as the kubelet keeps them.
//!
//! What was read is known by file, not by name, and can be kept ([`Positions`]), so that a later process goes on where this one
//! was. A line that has no end yet is waited for; so is what goes on with the first part of a line or of a stack trace, and
//! positions stay before it, so that a process that is killed loses nothing. Lines of one source are in order; lines of several
//! are not ordered among themselves.
//!
//! Files that are compressed are left out: they were read before they were.

mod file;
mod positions;
mod scan;
mod source;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

pub use self::positions::{FileId, Position, Positions};
use self::{
    file::{Growing, TURN_BYTES},
    scan::{Key, Known, is_compressed},
    source::Followed,
};
use super::{
    FileError,
    folder::{Seen, once},
};
use crate::source::Entry;

/// Between two looks at the files.
pub const INTERVAL: Duration = Duration::from_millis(100);

/// Bytes that are read before lines are given out.
const MOST_BYTES: usize = 4 * TURN_BYTES;

/// Between two looks at the folders, at least, and so many times the time that one takes.
const SCAN: Duration = Duration::from_millis(200);
const SCAN_TIMES: u32 = 20;

/// How long what is known of a new pod is waited for.
const UNKNOWN_POD: Duration = Duration::from_secs(2);

/// Where reading begins.
#[derive(Clone, Debug, Default)]
pub enum Start {
    /// At the beginning of every file.
    #[default]
    Beginning,
    /// After the lines that are there now; at the beginning of files that come later.
    End,
    /// Where it ended before; at the beginning of files that are not known.
    At(Positions),
}

/// Files and folders, followed.
pub struct Tail {
    paths: Vec<PathBuf>,
    known: Known,
    before: Positions,
    sources: BTreeMap<Key, Followed>,
    begun: Instant,
    /// When the folders are looked at next.
    scan: Duration,
    /// The source whose turn is next.
    turn: usize,
    troubles: Vec<FileError>,
    /// What cannot be read and was told.
    told: BTreeSet<PathBuf>,
    /// What could not be looked at the last time, and why: files, and folders with all that is in them.
    unread: BTreeMap<PathBuf, String>,
}

impl Tail {
    /// Looks for the files; a folder may be empty. Gives out nothing yet.
    ///
    /// # Errors
    /// [`FileError`], for a path that is not there, standard input, and a list of pods that is none.
    pub fn open(paths: &[PathBuf], start: Start) -> Result<Self, FileError> {
        for path in paths {
            if path.as_os_str() == super::find::STDIN {
                return Err(FileError::io(path)(io::Error::other(
                    "standard input cannot be followed: it ends by itself",
                )));
            }
            fs::metadata(path).map_err(FileError::io(path))?;
        }
        let mut tail = Self {
            paths: paths.to_vec(),
            known: Known::default(),
            before: Positions::default(),
            sources: BTreeMap::new(),
            begun: Instant::now(),
            scan: Duration::ZERO,
            turn: 0,
            troubles: Vec::new(),
            told: BTreeSet::new(),
            unread: BTreeMap::new(),
        };
        let at_end = matches!(start, Start::End);
        if let Start::At(positions) = start {
            tail.before = positions;
        }
        tail.look(Duration::ZERO);
        let is_whole = |error: &mut FileError| match error {
            FileError::Io { path, .. } => paths.contains(path),
            FileError::NoPods { .. } => false,
            _ => true,
        };
        if let Some(error) = tail.troubles.extract_if(.., is_whole).next() {
            return Err(error);
        }
        if at_end {
            let files = tail.sources.values_mut().flat_map(|source| &mut source.files);
            for file in files {
                file.skip().map_err(FileError::io(&file.path))?;
            }
        }
        Ok(tail)
    }

    /// The lines that have come since; waits so long for the first, and returns as soon as there are some. Zero does not wait.
    ///
    /// Not more than some megabytes come at a time: whoever gets lines asks again at once.
    pub fn poll(&mut self, wait: Duration) -> Vec<Entry> {
        let end = Instant::now() + wait;
        loop {
            let (entries, bytes) = self.read();
            if !entries.is_empty() {
                return entries;
            }
            if bytes > 0 {
                continue;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return entries;
            }
            thread::sleep(left.min(INTERVAL));
        }
    }

    /// Where [`Self::poll`] goes on: after all lines that it has given out.
    #[must_use]
    pub fn positions(&self) -> Positions {
        let all = self.sources.values().flat_map(Followed::positions);
        Positions(all.collect())
    }

    /// What cannot be read, each told once until it can be read again.
    pub fn troubles(&mut self) -> Vec<FileError> {
        std::mem::take(&mut self.troubles)
    }

    /// Also how many bytes were read.
    fn read(&mut self) -> (Vec<Entry>, usize) {
        let now = self.begun.elapsed();
        let mut entries = Vec::new();
        if now >= self.scan {
            entries = self.look(now);
            let took = self.begun.elapsed().saturating_sub(now);
            self.scan = now + SCAN.max(took * SCAN_TIMES);
        }
        let count = self.sources.len();
        let mut bytes = 0;
        let mut done = 0;
        while done < count && bytes < MOST_BYTES {
            let number = self.turn % count;
            self.turn = number + 1;
            done += 1;
            let Some(source) = self.sources.values_mut().nth(number) else {
                continue;
            };
            let (read, failed) = source.read(now, &mut entries);
            bytes += read;
            if let Some((path, error)) = failed {
                self.trouble(path, error);
            }
        }
        (entries, bytes)
    }

    fn trouble(&mut self, path: PathBuf, error: io::Error) {
        if self.told.insert(path.clone()) {
            self.troubles.push(FileError::Io { path, error });
        }
    }

    /// Looks which files there are. Gives out what was held of sources that are gone.
    fn look(&mut self, now: Duration) -> Vec<Entry> {
        let (mut seen, mut troubles) = (Vec::new(), Vec::new());
        for path in &self.paths {
            self.known.look(path, &mut seen, &mut troubles);
        }
        let unread = troubles
            .iter()
            .filter_map(|error| Some((error.path()?.to_owned(), error.to_string())));
        let before = std::mem::replace(&mut self.unread, unread.collect());
        let is_new = |error: &FileError| {
            let told = error.path().and_then(|path| before.get(path));
            told.is_none_or(|told| *told != error.to_string())
        };
        self.troubles.extend(troubles.into_iter().filter(is_new));
        let changed = self.known.take_changed();
        for file in self.sources.values_mut().flat_map(|source| &mut source.files) {
            // Of what is in a folder that cannot be read nothing is known.
            file.there &= file.path.ancestors().any(|path| self.unread.contains_key(path));
        }
        seen.retain(|file| !is_compressed(&file.path));
        for file in once(seen) {
            self.see(file, now);
        }
        let mut entries = Vec::new();
        for (key, source) in &mut self.sources {
            if changed && let Key::Container(place) = key {
                source.origin = self.known.origin(place);
                if self.known.knows(place) {
                    source.patience = Duration::ZERO;
                }
            }
            source.files.retain(|file| !file.is_over());
            source
                .files
                .sort_by_cached_key(|file| (file.there, super::find::age(&file.path)));
            if source.files.is_empty() {
                source.end(&mut entries);
            }
        }
        self.sources.retain(|_, source| !source.files.is_empty());
        entries
    }

    fn see(&mut self, seen: Seen, now: Duration) {
        let Seen {
            id,
            path,
            size,
            place,
            ..
        } = seen;
        let key = place.map_or(Key::Plain(id), Key::Container);
        let source = self.sources.entry(key.clone()).or_insert_with(|| {
            let patience = match &key {
                Key::Container(place) if !self.known.knows(place) => now + UNKNOWN_POD,
                _ => Duration::ZERO,
            };
            Followed::new(self.known.origin_of(&key, &path), patience)
        });
        if let Some(file) = source.files.iter_mut().find(|file| file.id == id) {
            file.seen(path, size);
            return;
        }
        let before = self.before.0.remove(&id);
        let file = Growing::new(id, path, before, now);
        if let Key::Plain(_) = key {
            source.origin = line::Origin::Source(file.name().to_owned());
        }
        source.files.push(file);
    }
}
