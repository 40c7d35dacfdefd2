//! Follows growing files: new, renamed and truncated ones, and the kubelet's folders.
//!
//! Positions belong to files, not to names, and can be saved ([`Positions`]), so that a later process continues. The
//! tail waits for the end of an incomplete line, and for the rest of a split line or stack trace. Positions stay before
//! such a line, so a killed process loses nothing. Lines of one source are in order; sources are not merged.
//!
//! Skips compressed files: they were read before compression.

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

pub use self::positions::{FilePosition, Positions};
use self::{
    file::{READ_BYTES, TailedFile},
    pod_index::{PodIndex, SourceKey, is_compressed},
    source::TailedSource,
};
use super::{
    FileError,
    folder::{FoundFile, deduplicate},
};
use crate::entry::Entry;

pub const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Bytes to read before entries are returned.
const MAX_BATCH_BYTES: usize = 4 * READ_BYTES;

/// Minimum interval between scans of folders, also as a multiple of the duration of a scan.
const MIN_SCAN_INTERVAL: Duration = Duration::from_millis(200);
const SCAN_COST_FACTOR: u32 = 20;

/// How long to wait for the metadata of a new pod.
const POD_METADATA_TIMEOUT: Duration = Duration::from_secs(2);

/// Where to start.
#[derive(Clone, Debug, Default)]
pub enum Start {
    /// At the beginning of every file.
    #[default]
    Beginning,
    /// After existing lines; at the beginning of new files.
    End,
    /// At saved positions; at the beginning of unknown files.
    At(Positions),
}

pub struct Tail {
    paths: Vec<PathBuf>,
    pods: PodIndex,
    saved_positions: Positions,
    sources: BTreeMap<SourceKey, TailedSource>,
    started: Instant,
    next_scan: Duration,
    /// The source to read next.
    next_source: usize,
    errors: Vec<FileError>,
    /// Unreadable files that were reported.
    reported: BTreeSet<PathBuf>,
    /// Unreadable files and folders of the last scan, with errors.
    unreadable: BTreeMap<PathBuf, String>,
}

impl Tail {
    /// Scans the paths without reading lines; a folder may be empty.
    ///
    /// # Errors
    /// [`FileError`], for a missing path, standard input, or an invalid pod list.
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
            started: Instant::now(),
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

    /// Returns new lines, and waits for the first one. Zero does not wait.
    ///
    /// Returns some megabytes at most: call it again at once after a result.
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

    /// Where the next process continues: after all returned lines.
    #[must_use]
    pub fn positions(&self) -> Positions {
        let all = self.sources.values().flat_map(TailedSource::positions);
        Positions(all.collect())
    }

    /// Takes the errors. Each one appears once, until the file is readable again.
    pub fn take_errors(&mut self) -> Vec<FileError> {
        std::mem::take(&mut self.errors)
    }

    /// Also returns the number of bytes.
    fn read(&mut self) -> (Vec<Entry>, usize) {
        let now = self.started.elapsed();
        let mut entries = Vec::new();
        if now >= self.next_scan {
            entries = self.scan(now);
            let took = self.started.elapsed().saturating_sub(now);
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

    /// Scans the paths. Returns the buffered lines of removed sources.
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
            // Nothing is known about files in an unreadable folder.
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
            source.origin = log_normalizer::Origin::Source(file.name().to_owned());
        }
        source.files.push(file);
    }
}
