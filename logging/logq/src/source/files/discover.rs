//! Discovers log files and pod metadata.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::{
    FileError,
    folder::{FoundFile, POD_LIST, deduplicate, list_log_files},
};
use log_normalizer::{ContainerRef, Origin, PodList};

pub(super) const STDIN: &str = "-";

/// A source of lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogSource {
    /// All files of a container.
    Container(ContainerFiles),
    /// A file without metadata.
    File(PlainFile),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerFiles {
    pub origin: Origin,
    /// Oldest first: rotated files precede the current one.
    pub files: Vec<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainFile {
    /// None for standard input.
    pub file: Option<PathBuf>,
}

/// The discovered sources.
#[derive(Debug, Default)]
pub struct Discovery {
    pub sources: Vec<LogSource>,
    /// Pods of all pod lists, also without a file.
    pub pods: PodList,
    pub errors: Vec<FileError>,
}

/// Discovers the files of the given paths, without duplicates.
///
/// # Errors
/// [`FileError`], for a missing path or a folder without log files.
pub fn discover(paths: &[PathBuf]) -> Result<Discovery, FileError> {
    let mut discovery = Discovery::default();
    let mut files = Vec::new();
    let mut pods = PodList::default();
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
                if list.invalid_items() > 0 {
                    let count = list.invalid_items();
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
    let mut containers: BTreeMap<ContainerRef, Vec<PathBuf>> = BTreeMap::new();
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
        LogSource::Container(ContainerFiles { origin, files })
    });
    discovery.sources.splice(..0, containers);
    discovery.pods = pods;
    Ok(discovery)
}

/// Sorts a container's files by age: by container start, then rotated files (with a time in the name) before the
/// current one.
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

/// Where the pod list of a folder may be.
pub(super) fn pod_list_candidates(folder: &Path) -> [PathBuf; 2] {
    [folder.join(POD_LIST), folder.join("..").join(POD_LIST)]
}

/// Reads the pod list in or beside a folder.
fn read_pod_list(folder: &Path) -> Result<Option<(PathBuf, PodList)>, FileError> {
    for path in pod_list_candidates(folder) {
        match fs::read(&path) {
            Ok(json) => {
                return match PodList::read(&json) {
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
