//! Which files there are, and what is known of them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::{
    FileError,
    folder::{FoundFile, deduplicate, list_log_files},
};
use line::{Origin, Place, Pods};

/// Standard input, on the command line.
pub(super) const STDIN: &str = "-";

/// A list of pods beside a folder, as `kubectl get pods -A -o json` prints it.
pub(super) const POD_LIST: &str = "pods.json";

/// What one command line names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogSource {
    /// All files of one container, the oldest first.
    Container(Container),
    /// One file, of which nothing is known.
    File(PlainFile),
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
pub struct PlainFile {
    /// The file; None for standard input.
    pub file: Option<PathBuf>,
}

/// What is behind a command line.
#[derive(Debug, Default)]
pub struct Discovery {
    /// What can be read.
    pub sources: Vec<LogSource>,
    /// The pods that the lists beside folders know, also those without a file.
    pub pods: Pods,
    /// What of the folders cannot.
    pub errors: Vec<FileError>,
}

/// Finds the files behind what was typed, each once.
///
/// # Errors
/// [`FileError`], for something that is not there, or an empty folder.
pub fn discover(paths: &[PathBuf]) -> Result<Discovery, FileError> {
    let mut discovery = Discovery::default();
    let mut files = Vec::new();
    let mut pods = Pods::default();
    for path in paths {
        if path.as_os_str() == STDIN {
            discovery.sources.push(LogSource::File(PlainFile { file: None }));
            continue;
        }
        let data = fs::metadata(path).map_err(FileError::io(path))?;
        if !data.is_dir() {
            files.push(FoundFile::new(path.clone(), &data));
            continue;
        }
        match read_pod_list(path) {
            Ok(Some((path, list))) => {
                if list.strange() > 0 {
                    let count = list.strange();
                    discovery.errors.push(FileError::InvalidPods { path, count });
                }
                pods.extend(&list);
            }
            Ok(None) => {}
            Err(error) => discovery.errors.push(error),
        }
        let before = discovery.errors.len();
        let found = list_log_files(path, &mut discovery.errors);
        if found.is_empty() && discovery.errors.len() == before {
            return Err(FileError::Empty(path.clone()));
        }
        files.extend(found);
    }
    let mut containers: BTreeMap<Place, Vec<PathBuf>> = BTreeMap::new();
    for FoundFile { path, place, .. } in deduplicate(files) {
        match place {
            Some(place) => containers.entry(place).or_default().push(path),
            None => discovery
                .sources
                .push(LogSource::File(PlainFile { file: Some(path) })),
        }
    }
    let containers = containers.into_iter().map(|(container, mut files)| {
        files.sort_by_cached_key(|file| age_key(file));
        let origin = pods.origin(container);
        LogSource::Container(Container { origin, files })
    });
    discovery.sources.splice(..0, containers);
    discovery.pods = pods;
    Ok(discovery)
}

/// What sorts a container's files by age: the container's starts, and of each
/// the rotated files, which have a time after their name, before the one that
/// is written.
pub(super) fn age_key(file: &Path) -> (u64, bool, String) {
    let name = file
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let start = name
        .split('.')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or_default();
    let is_current = name.ends_with(".log");
    (start, is_current, name)
}

/// Where a folder's list of pods may be: in it, or beside it.
pub(super) fn pod_list_candidates(folder: &Path) -> [PathBuf; 2] {
    [folder.join(POD_LIST), folder.join("..").join(POD_LIST)]
}

/// The list of pods in a folder, or beside it.
fn read_pod_list(folder: &Path) -> Result<Option<(PathBuf, Pods)>, FileError> {
    for path in pod_list_candidates(folder) {
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
