//! Which files there are, and what is known of them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::{
    FileError,
    folder::{Seen, files_in, once},
};
use line::{Origin, Place, Pods};

/// Standard input, on the command line.
pub(super) const STDIN: &str = "-";

/// A list of pods beside a folder, as `kubectl get pods -A -o json` prints it.
pub(super) const PODS: &str = "pods.json";

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

/// What is behind a command line.
#[derive(Debug, Default)]
pub struct Behind {
    /// What can be read.
    pub found: Vec<Found>,
    /// The pods that the lists beside folders know, also those without a file.
    pub pods: Pods,
    /// What of the folders cannot.
    pub troubles: Vec<FileError>,
}

/// Finds the files behind what was typed, each once.
///
/// # Errors
/// [`FileError`], for something that is not there, or an empty folder.
pub fn find(paths: &[PathBuf]) -> Result<Behind, FileError> {
    let mut behind = Behind::default();
    let mut seen = Vec::new();
    let mut pods = Pods::default();
    for path in paths {
        if path.as_os_str() == STDIN {
            behind.found.push(Found::Plain(Plain { file: None }));
            continue;
        }
        let data = fs::metadata(path).map_err(FileError::io(path))?;
        if !data.is_dir() {
            seen.push(Seen::new(path.clone(), &data));
            continue;
        }
        match known_pods(path) {
            Ok(Some((path, known))) => {
                if known.strange() > 0 {
                    let many = known.strange();
                    behind.troubles.push(FileError::NoPods { path, many });
                }
                pods.extend(&known);
            }
            Ok(None) => {}
            Err(error) => behind.troubles.push(error),
        }
        let before = behind.troubles.len();
        let files = files_in(path, &mut behind.troubles);
        if files.is_empty() && behind.troubles.len() == before {
            return Err(FileError::Empty(path.clone()));
        }
        seen.extend(files);
    }
    let mut containers: BTreeMap<Place, Vec<PathBuf>> = BTreeMap::new();
    for Seen { path, place, .. } in once(seen) {
        match place {
            Some(place) => containers.entry(place).or_default().push(path),
            None => behind.found.push(Found::Plain(Plain { file: Some(path) })),
        }
    }
    let containers = containers.into_iter().map(|(place, mut files)| {
        files.sort_by_cached_key(|file| age(file));
        let origin = pods.origin(place);
        Found::Container(Container { origin, files })
    });
    behind.found.splice(..0, containers);
    behind.pods = pods;
    Ok(behind)
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
fn known_pods(folder: &Path) -> Result<Option<(PathBuf, Pods)>, FileError> {
    for path in pods_files(folder) {
        match fs::read(&path) {
            Ok(json) => {
                return match Pods::read(&json) {
                    Ok(pods) => Ok(Some((path, pods))),
                    Err(error) => Err(FileError::Pods { path, error }),
                };
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(FileError::Io { path, error }),
        }
    }
    Ok(None)
}
