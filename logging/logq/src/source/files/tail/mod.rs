//! Files that grow, as lines are added to them: new ones, renamed ones, emptied ones, and folders as the kubelet keeps them.
//!
//! What was read is known by file, not by name, and can be kept ([`Positions`]), so that a later process goes on where this one
//! was. A line that has no end yet is waited for; so is what goes on with the first part of a line or of a stack trace, and
//! positions stay before it, so that a process that is killed loses nothing. Lines of one source are in order; lines of several
//! are not ordered among themselves.
//!
//! Files that are compressed are left out: they were read before they were.

mod file;
mod pod_index;
mod positions;
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
    file::{READ_BYTES, TailedFile},
    pod_index::{PodIndex, SourceKey, is_compressed},
    source::TailedSource,
};
use super::{
    FileError,
    folder::{FoundFile, deduplicate},
};
use crate::source::Entry;

/// Between two looks at the files.
pub const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Bytes that are read before lines are given out.
const MAX_BATCH_BYTES: usize = 4 * READ_BYTES;

/// Between two looks at the folders, at least, and so many times the time that one takes.
const MIN_SCAN_INTERVAL: Duration = Duration::from_millis(200);
const SCAN_COST_FACTOR: u32 = 20;

/// How long what is known of a new pod is waited for.
const POD_METADATA_TIMEOUT: Duration = Duration::from_secs(2);

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
    pods: PodIndex,
    saved_positions: Positions,
    sources: BTreeMap<SourceKey, TailedSource>,
    begun: Instant,
    /// When the folders are looked at next.
    next_scan: Duration,
    /// The source whose turn is next.
    next_source: usize,
    errors: Vec<FileError>,
    /// What cannot be read and was told.
    reported: BTreeSet<PathBuf>,
    /// What could not be looked at the last time, and why: files, and folders with all that is in them.
    unreadable: BTreeMap<PathBuf, String>,
}

impl Tail {
    /// Looks for the files; a folder may be empty. Gives out nothing yet.
    ///
    /// # Errors
    /// [`FileError`], for a path that is not there, standard input, and a list of pods that is none.
    pub fn open(paths: &[PathBuf], start: Start) -> Result<Self, FileError> {
        for path in paths {
            if path.as_os_str() == super::discover::STDIN {
                return Err(FileError::io(path)(io::Error::other(
                    "standard input cannot be followed: it ends by itself",
                )));
            }
            fs::metadata(path).map_err(FileError::io(path))?;
        }
        let mut tail = Self {
            paths: paths.to_vec(),
            pods: PodIndex::default(),
            saved_positions: Positions::default(),
            sources: BTreeMap::new(),
            begun: Instant::now(),
            next_scan: Duration::ZERO,
            next_source: 0,
            errors: Vec::new(),
            reported: BTreeSet::new(),
            unreadable: BTreeMap::new(),
        };
        let skip_existing = matches!(start, Start::End);
        if let Start::At(positions) = start {
            tail.saved_positions = positions;
        }
        tail.scan(Duration::ZERO);
        let is_fatal = |error: &mut FileError| match error {
            FileError::Io { path, .. } => paths.contains(path),
            FileError::InvalidPods { .. } => false,
            _ => true,
        };
        if let Some(error) = tail.errors.extract_if(.., is_fatal).next() {
            return Err(error);
        }
        if skip_existing {
            let files = tail.sources.values_mut().flat_map(|source| &mut source.files);
            for file in files {
                file.skip_to_end().map_err(FileError::io(&file.path))?;
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
            thread::sleep(left.min(POLL_INTERVAL));
        }
    }

    /// Where [`Self::poll`] goes on: after all lines that it has given out.
    #[must_use]
    pub fn positions(&self) -> Positions {
        let all = self.sources.values().flat_map(TailedSource::positions);
        Positions(all.collect())
    }

    /// What cannot be read, each told once until it can be read again.
    pub fn take_errors(&mut self) -> Vec<FileError> {
        std::mem::take(&mut self.errors)
    }

    /// Also how many bytes were read.
    fn read(&mut self) -> (Vec<Entry>, usize) {
        let now = self.begun.elapsed();
        let mut entries = Vec::new();
        if now >= self.next_scan {
            entries = self.scan(now);
            let took = self.begun.elapsed().saturating_sub(now);
            self.next_scan = now + MIN_SCAN_INTERVAL.max(took * SCAN_COST_FACTOR);
        }
        let count = self.sources.len();
        let mut bytes = 0;
        let mut done = 0;
        while done < count && bytes < MAX_BATCH_BYTES {
            let number = self.next_source % count;
            self.next_source = number + 1;
            done += 1;
            let Some(source) = self.sources.values_mut().nth(number) else {
                continue;
            };
            let (read, failed) = source.read(now, &mut entries);
            bytes += read;
            if let Some((path, error)) = failed {
                self.report_error(path, error);
            }
        }
        (entries, bytes)
    }

    fn report_error(&mut self, path: PathBuf, error: io::Error) {
        if self.reported.insert(path.clone()) {
            self.errors.push(FileError::Io { path, error });
        }
    }

    /// Looks which files there are. Gives out what was held of sources that are gone.
    fn scan(&mut self, now: Duration) -> Vec<Entry> {
        let (mut found, mut errors) = (Vec::new(), Vec::new());
        for path in &self.paths {
            self.pods.add_path(path, &mut found, &mut errors);
        }
        let unreadable = errors
            .iter()
            .filter_map(|error| Some((error.path()?.to_owned(), error.to_string())));
        let previous = std::mem::replace(&mut self.unreadable, unreadable.collect());
        let is_new = |error: &FileError| {
            let reported = error.path().and_then(|path| previous.get(path));
            reported.is_none_or(|reported| *reported != error.to_string())
        };
        self.errors.extend(errors.into_iter().filter(is_new));
        let changed = self.pods.take_changed();
        for file in self.sources.values_mut().flat_map(|source| &mut source.files) {
            // Of what is in a folder that cannot be read nothing is known.
            file.exists &= file
                .path
                .ancestors()
                .any(|path| self.unreadable.contains_key(path));
        }
        found.retain(|file| !is_compressed(&file.path));
        for file in deduplicate(found) {
            self.add_file(file, now);
        }
        let mut entries = Vec::new();
        for (key, source) in &mut self.sources {
            if changed && let SourceKey::Container(place) = key {
                source.origin = self.pods.origin(place);
                if self.pods.has_pod(place) {
                    source.read_after = Duration::ZERO;
                }
            }
            source.files.retain(|file| !file.is_finished());
            source
                .files
                .sort_by_cached_key(|file| (file.exists, super::discover::age_key(&file.path)));
            if source.files.is_empty() {
                source.flush(&mut entries);
            }
        }
        self.sources.retain(|_, source| !source.files.is_empty());
        entries
    }

    fn add_file(&mut self, found: FoundFile, now: Duration) {
        let FoundFile {
            id,
            path,
            size,
            place,
            ..
        } = found;
        let key = place.map_or(SourceKey::Plain(id), SourceKey::Container);
        let source = self.sources.entry(key.clone()).or_insert_with(|| {
            let read_after = match &key {
                SourceKey::Container(place) if !self.pods.has_pod(place) => now + POD_METADATA_TIMEOUT,
                _ => Duration::ZERO,
            };
            TailedSource::new(self.pods.origin_of(&key, &path), read_after)
        });
        if let Some(file) = source.files.iter_mut().find(|file| file.id == id) {
            file.update(path, size);
            return;
        }
        let position = self.saved_positions.0.remove(&id);
        let file = TailedFile::new(id, path, position, now);
        if let SourceKey::Plain(_) = key {
            source.origin = line::Origin::Source(file.name().to_owned());
        }
        source.files.push(file);
    }
}
