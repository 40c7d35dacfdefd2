//! Which files there are now, and what is known of the pods that they are of.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use line::{Origin, Place, Pods};

use super::positions::FileId;
use crate::source::files::{
    FileError,
    discover::pod_list_candidates,
    folder::{FoundFile, list_log_files},
};

/// Lines that follow each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceKey {
    /// All files of a container.
    Container(Place),
    /// One file.
    Plain(FileId),
}

/// What is known of pods.
#[derive(Debug, Default)]
pub struct PodIndex {
    /// Of all lists.
    pods: Pods,
    /// The lists that were read.
    lists: Vec<PodList>,
    changed: bool,
}

/// A list of pods, and which state of its file was read.
#[derive(Debug)]
struct PodList {
    path: PathBuf,
    version: FileVersion,
    pods: Pods,
}

/// What changes when a file is written.
type FileVersion = (FileId, u64, Option<SystemTime>);

impl PodIndex {
    /// Adds the files of a path, and reads its list of pods when that has changed. What cannot be read is told in `errors`.
    pub(super) fn add_path(&mut self, path: &Path, found: &mut Vec<FoundFile>, errors: &mut Vec<FileError>) {
        match fs::metadata(path) {
            Ok(data) if data.is_dir() => {
                errors.extend(self.update_pod_list(path).err());
                found.extend(list_log_files(path, errors));
            }
            Ok(data) => found.push(FoundFile::new(path.to_owned(), &data)),
            // A file that is renamed is not there until the next is begun; folders go with their pods.
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
            let pods = match Pods::read(&json) {
                Ok(pods) => pods,
                Err(error) => return Err(FileError::Pods { path, error }),
            };
            let invalid = pods.strange();
            let list = PodList {
                path: path.clone(),
                version,
                pods,
            };
            match previous {
                Some(previous) => *previous = list,
                None => self.lists.push(list),
            }
            self.pods = Pods::default();
            self.lists.iter().for_each(|list| self.pods.extend(&list.pods));
            self.changed = true;
            return match invalid {
                0 => Ok(()),
                count => Err(FileError::InvalidPods { path, count }),
            };
        }
        Ok(())
    }

    /// Whether pods have become known since this was asked last.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Whether what can be known of a container's pod is known.
    pub fn has_pod(&self, place: &Place) -> bool {
        self.lists.is_empty() || self.pods.get(&place.namespace, &place.pod).is_some()
    }

    /// A container's origin.
    pub fn origin(&self, place: &Place) -> Origin {
        self.pods.origin(place.clone())
    }

    pub fn origin_of(&self, key: &SourceKey, path: &Path) -> Origin {
        match key {
            SourceKey::Container(place) => self.origin(place),
            SourceKey::Plain(_) => Origin::Source(path.display().to_string()),
        }
    }
}

/// What is left out: it was read before it was compressed.
pub(super) fn is_compressed(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "gz" || extension == "zst")
}
