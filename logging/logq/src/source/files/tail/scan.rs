//! Which files there are now, and what is known of the pods that they are of.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use line::{Origin, Place, Pods};

use super::positions::FileId;
use crate::source::files::{
    FileError,
    find::{files_in, place_of, pods_files},
};

/// Lines that follow each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// All files of a container.
    Container(Place),
    /// One file.
    Plain(FileId),
}

/// A file that is there.
#[derive(Debug)]
pub struct Seen {
    pub id: FileId,
    pub path: PathBuf,
    pub size: u64,
    pub place: Option<Place>,
}

/// What is known of pods.
#[derive(Debug, Default)]
pub struct Known {
    pods: Pods,
    /// Which list was read, and which state of it.
    read: Option<(PathBuf, State)>,
    changed: bool,
}

/// What changes when a file is written.
type State = (FileId, u64, Option<SystemTime>);

impl Known {
    /// Adds the files of a path, and reads its list of pods when that has changed. A list that cannot be read is told after all
    /// files have been added.
    pub fn look(&mut self, path: &Path, seen: &mut Vec<Seen>) -> Result<(), FileError> {
        let data = fs::metadata(path).map_err(FileError::io(path))?;
        let mut pods = Ok(());
        let files = if data.is_dir() {
            pods = self.look_at_pods(path);
            files_in(path)?
        } else {
            vec![path.to_owned()]
        };
        for path in files.into_iter().filter(|path| !is_compressed(path)) {
            // What is renamed or removed meanwhile is seen under its new name the next time.
            let Ok(data) = fs::metadata(&path) else {
                continue;
            };
            seen.push(Seen {
                id: FileId::of(&data),
                size: data.len(),
                place: place_of(&path),
                path,
            });
        }
        pods
    }

    fn look_at_pods(&mut self, folder: &Path) -> Result<(), FileError> {
        for path in pods_files(folder) {
            let Ok(data) = fs::metadata(&path) else { continue };
            let state = (FileId::of(&data), data.len(), data.modified().ok());
            if self.read.as_ref() == Some(&(path.clone(), state)) {
                return Ok(());
            }
            let json = fs::read(&path).map_err(FileError::io(&path))?;
            match Pods::read(&json) {
                Ok(pods) => self.pods = pods,
                Err(error) => return Err(FileError::Pods { path, error }),
            }
            self.read = Some((path, state));
            self.changed = true;
            return Ok(());
        }
        Ok(())
    }

    /// Whether pods have become known since this was asked last.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Whether what can be known of a container's pod is known.
    pub fn knows(&self, place: &Place) -> bool {
        self.read.is_none() || self.pods.get(&place.namespace, &place.pod).is_some()
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

fn is_compressed(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "gz" || extension == "zst")
}
