//! Scans paths, and keeps the pod lists up to date.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use log_normalizer::{ContainerRef, Origin, PodList};

use crate::source::files::{
    FileError,
    discover::pod_list_candidates,
    folder::{FileId, FoundFile, list_log_files},
};

/// Identifies a source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceKey {
    /// All files of a container.
    Container(ContainerRef),
    Plain(FileId),
}

/// The pods of all pod lists.
#[derive(Debug, Default)]
pub struct PodIndex {
    /// The merged lists.
    pods: PodList,
    lists: Vec<PodListFile>,
    changed: bool,
}

/// A pod list, and the version of its file.
#[derive(Debug)]
struct PodListFile {
    path: PathBuf,
    version: FileVersion,
    pods: PodList,
}

/// Changes when a file is written.
type FileVersion = (FileId, u64, Option<SystemTime>);

impl PodIndex {
    /// Adds the files of a path, and reads its pod list if it changed. Adds errors to `errors`.
    pub(super) fn add_path(&mut self, path: &Path, found: &mut Vec<FoundFile>, errors: &mut Vec<FileError>) {
        match fs::metadata(path) {
            Ok(data) if data.is_dir() => {
                errors.extend(self.update_pod_list(path).err());
                found.extend(list_log_files(path, errors));
            }
            Ok(data) => found.push(FoundFile::new(path.to_owned(), &data)),
            // During rotation, a file may be missing for a moment; folders disappear with their pods.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => errors.push(FileError::io(path)(error)),
        }
    }

    fn update_pod_list(&mut self, folder: &Path) -> Result<(), FileError> {
        for path in pod_list_candidates(folder) {
            let Ok(data) = fs::metadata(&path) else { continue };
            let version = (FileId::from_metadata(&data), data.len(), data.modified().ok());
            let previous = self.lists.iter_mut().find(|list| list.path == path);
            if previous.as_ref().is_some_and(|list| list.version == version) {
                return Ok(());
            }
            let json = fs::read(&path).map_err(FileError::io(&path))?;
            let pods = match PodList::read(&json) {
                Ok(pods) => pods,
                Err(error) => return Err(FileError::Pods { path, error }),
            };
            let invalid = pods.invalid_items();
            let list = PodListFile {
                path: path.clone(),
                version,
                pods,
            };
            match previous {
                Some(previous) => *previous = list,
                None => self.lists.push(list),
            }
            self.pods = PodList::default();
            self.lists.iter().for_each(|list| self.pods.extend(&list.pods));
            self.changed = true;
            return match invalid {
                0 => Ok(()),
                count => Err(FileError::InvalidPods { path, count }),
            };
        }
        Ok(())
    }

    /// Whether pods were added since the last call.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Whether the metadata of a container's pod is complete.
    pub fn has_pod(&self, place: &ContainerRef) -> bool {
        self.lists.is_empty() || self.pods.get(&place.namespace, &place.pod).is_some()
    }

    pub fn origin(&self, place: &ContainerRef) -> Origin {
        self.pods.origin(place.clone())
    }

    pub fn origin_of(&self, key: &SourceKey, path: &Path) -> Origin {
        match key {
            SourceKey::Container(place) => self.origin(place),
            SourceKey::Plain(_) => Origin::Source(path.display().to_string()),
        }
    }
}

/// Such files were read before compression.
pub(super) fn is_compressed(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "gz" || extension == "zst")
}
