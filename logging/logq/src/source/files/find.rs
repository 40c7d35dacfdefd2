//! Which files there are, and what is known of them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use line::{Origin, Place, Pods};
use walkdir::{DirEntry, WalkDir};

use super::FileError;

/// Standard input, on the command line.
pub(super) const STDIN: &str = "-";

/// A list of pods beside a folder, as `kubectl get pods -A -o json` prints it.
const PODS: &str = "pods.json";

/// What one command line names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// All files of one container, the oldest first.
    Container(Container),
    /// One file, of which nothing is known.
    Plain(Plain),
}

/// The files that the kubelet keeps for one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// What is known of the container.
    pub origin: Origin,
    /// The oldest first: what was rotated before what is written.
    pub files: Vec<PathBuf>,
}

/// A file or standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plain {
    /// The file; None for standard input.
    pub file: Option<PathBuf>,
}

/// Finds the files behind what was typed.
///
/// # Errors
/// [`FileError`], for something that is not there, or an empty folder.
pub fn find(paths: &[PathBuf]) -> Result<Vec<Found>, FileError> {
    let mut plain = Vec::new();
    let mut containers: BTreeMap<Place, Vec<PathBuf>> = BTreeMap::new();
    let mut pods = Pods::default();
    for path in paths {
        if path.as_os_str() == STDIN {
            plain.push(Found::Plain(Plain { file: None }));
            continue;
        }
        let kind = fs::metadata(path).map_err(FileError::io(path))?;
        let files = if kind.is_dir() {
            pods = known_pods(path)?.unwrap_or(pods);
            files_in(path)?
        } else {
            vec![path.clone()]
        };
        if files.is_empty() {
            return Err(FileError::Empty(path.clone()));
        }
        for file in files {
            match place_of(&file) {
                Some(place) => containers.entry(place).or_default().push(file),
                None => plain.push(Found::Plain(Plain { file: Some(file) })),
            }
        }
    }
    let containers = containers.into_iter().map(|(place, mut files)| {
        files.sort_by_cached_key(|file| age(file));
        files.dedup();
        let origin = pods.origin(place);
        Found::Container(Container { origin, files })
    });
    Ok(containers.chain(plain).collect())
}

/// The container that the kubelet keeps this file for.
pub(super) fn place_of(file: &Path) -> Option<Place> {
    let name = file.file_name()?.to_str()?;
    let (start, rest) = name.split_once('.')?;
    let numbered = start.bytes().all(|b| b.is_ascii_digit()) && rest.starts_with("log");
    numbered.then(|| Place::of_file(file)).flatten()
}

/// What sorts a container's files by age: the container's starts, and of each
/// the rotated files, which have a time after their name, before the one that
/// is written.
pub(super) fn age(file: &Path) -> (u64, bool, String) {
    let name = file
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let start = name
        .split('.')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or_default();
    let written = name.ends_with(".log");
    (start, written, name)
}

/// Where a folder's list of pods may be: in it, or beside it.
pub(super) fn pods_files(folder: &Path) -> [PathBuf; 2] {
    [folder.join(PODS), folder.join("..").join(PODS)]
}

/// The list of pods in a folder, or beside it.
fn known_pods(folder: &Path) -> Result<Option<Pods>, FileError> {
    for path in pods_files(folder) {
        match fs::read(&path) {
            Ok(json) => {
                return Pods::read(&json)
                    .map(Some)
                    .map_err(|error| FileError::Pods { path, error });
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(FileError::Io { path, error }),
        }
    }
    Ok(None)
}

pub(super) fn files_in(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let mut files = Vec::new();
    let walk = WalkDir::new(folder).sort_by_file_name().into_iter();
    for entry in walk.filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry)) {
        let entry = entry.map_err(|error| FileError::Io {
            path: error.path().unwrap_or(folder).to_owned(),
            error: error.into(),
        })?;
        if entry.file_type().is_file() && holds_lines(entry.path()) {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

/// Other programs' own files.
fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}

fn holds_lines(file: &Path) -> bool {
    let Some(name) = file.file_name().and_then(|name| name.to_str()) else {
        return false;
    };
    if name == PODS {
        return false;
    }
    let name = name
        .strip_suffix(".gz")
        .or_else(|| name.strip_suffix(".zst"))
        .unwrap_or(name);
    name.ends_with(".json") || name.ends_with(".jsonl") || name.ends_with(".log") || name.contains(".log.")
}
