//! IN stays as it is, wherever links in OUT lead to.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{Plan, shown};

/// What must not be written to.
#[derive(Debug, Default)]
pub struct Guard {
    /// Folders given as IN, without links.
    folders: Vec<PathBuf>,
    /// Photos to be read, without links.
    paths: BTreeSet<PathBuf>,
    /// Photos to be read, by device and inode.
    files: BTreeSet<(u64, u64)>,
}

impl Guard {
    /// Of what was given as IN, and the photos found there.
    #[must_use]
    pub fn of(inputs: &[PathBuf], plan: &Plan) -> Self {
        let real = |path: &PathBuf| fs::canonicalize(path).ok();
        let photos = || plan.entries.iter().map(|entry| &entry.input);
        Self {
            folders: inputs
                .iter()
                .filter_map(real)
                .filter(|path| path.is_dir())
                .collect(),
            paths: photos().filter_map(real).collect(),
            files: photos().filter_map(|photo| identity(photo)).collect(),
        }
    }

    /// Whether a file may be written.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn check(&self, target: &Path) -> Result<(), String> {
        let place = resolved(target.parent().unwrap_or(Path::new(".")));
        if self.folders.iter().any(|folder| place.starts_with(folder)) {
            return Err(format!(
                "{} lies in IN, in {}: nothing is written there",
                shown(target),
                shown(&place)
            ));
        }
        let real = target.file_name().map(|name| place.join(name));
        let is_photo = real.is_some_and(|real| self.paths.contains(&real))
            || identity(target).is_some_and(|file| self.files.contains(&file));
        if is_photo {
            return Err(format!("{} is one of the photos in IN", shown(target)));
        }
        Ok(())
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let data = fs::metadata(path).ok()?;
    Some((data.dev(), data.ino()))
}

/// Where a path that need not exist yet really lies.
pub(super) fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let existing = absolute
        .ancestors()
        .find_map(|ancestor| Some((fs::canonicalize(ancestor).ok()?, ancestor.to_owned())));
    match existing {
        Some((real, ancestor)) => real.join(absolute.strip_prefix(&ancestor).unwrap_or(Path::new(""))),
        None => absolute,
    }
}
