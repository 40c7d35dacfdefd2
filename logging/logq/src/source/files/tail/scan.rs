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
    find::pods_files,
    folder::{Seen, files_in},
};

/// Lines that follow each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// All files of a container.
    Container(Place),
    /// One file.
    Plain(FileId),
}

/// What is known of pods.
#[derive(Debug, Default)]
pub struct Known {
    /// Of all lists.
    pods: Pods,
    /// The lists that were read.
    lists: Vec<List>,
    changed: bool,
}

/// A list of pods, and which state of its file was read.
#[derive(Debug)]
struct List {
    path: PathBuf,
    state: State,
    pods: Pods,
}

/// What changes when a file is written.
type State = (FileId, u64, Option<SystemTime>);

impl Known {
    /// Adds the files of a path, and reads its list of pods when that has changed. What cannot be read is told in `troubles`.
    pub(super) fn look(&mut self, path: &Path, seen: &mut Vec<Seen>, troubles: &mut Vec<FileError>) {
        match fs::metadata(path) {
            Ok(data) if data.is_dir() => {
                troubles.extend(self.look_at_pods(path).err());
                seen.extend(files_in(path, troubles));
            }
            Ok(data) => seen.push(Seen::new(path.to_owned(), &data)),
            // A file that is renamed is not there until the next is begun; folders go with their pods.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => troubles.push(FileError::io(path)(error)),
        }
    }

    fn look_at_pods(&mut self, folder: &Path) -> Result<(), FileError> {
        for path in pods_files(folder) {
            let Ok(data) = fs::metadata(&path) else { continue };
            let state = (FileId::of(&data), data.len(), data.modified().ok());
            let known = self.lists.iter_mut().find(|list| list.path == path);
            if known.as_ref().is_some_and(|list| list.state == state) {
                return Ok(());
            }
            let json = fs::read(&path).map_err(FileError::io(&path))?;
            let pods = match Pods::read(&json) {
                Ok(pods) => pods,
                Err(error) => return Err(FileError::Pods { path, error }),
            };
            let strange = pods.strange();
            let list = List {
                path: path.clone(),
                state,
                pods,
            };
            match known {
                Some(known) => *known = list,
                None => self.lists.push(list),
            }
            self.pods = Pods::default();
            self.lists.iter().for_each(|list| self.pods.extend(&list.pods));
            self.changed = true;
            return match strange {
                0 => Ok(()),
                many => Err(FileError::NoPods { path, many }),
            };
        }
        Ok(())
    }

    /// Whether pods have become known since this was asked last.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Whether what can be known of a container's pod is known.
    pub fn knows(&self, place: &Place) -> bool {
        self.lists.is_empty() || self.pods.get(&place.namespace, &place.pod).is_some()
    }

    /// A container's origin.
    pub fn origin(&self, place: &Place) -> Origin {
        self.pods.origin(place.clone())
    }

    pub fn origin_of(&self, key: &Key, path: &Path) -> Origin {
        match key {
            Key::Container(place) => self.origin(place),
            Key::Plain(_) => Origin::Source(path.display().to_string()),
        }
    }
}

/// What is left out: it was read before it was compressed.
pub(super) fn is_compressed(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "gz" || extension == "zst")
}
