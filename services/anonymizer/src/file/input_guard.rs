//! Protects IN from being written to, even through links in OUT.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{Plan, display_path};

/// The files and folders that must not be written to.
#[derive(Debug, Default)]
pub struct InputGuard {
    /// Input folders, with links resolved.
    folders: Vec<PathBuf>,
    /// Input photos, with links resolved.
    paths: BTreeSet<PathBuf>,
    /// Input photos, by device and inode.
    inodes: BTreeSet<(u64, u64)>,
}

impl InputGuard {
    /// Protects the input folders and all photos of the plan.
    #[must_use]
    pub fn new(inputs: &[PathBuf], plan: &Plan) -> Self {
        let canonical = |path: &PathBuf| fs::canonicalize(path).ok();
        let photos = || plan.photos.iter().map(|photo| &photo.input);
        Self {
            folders: inputs
                .iter()
                .filter_map(canonical)
                .filter(|path| path.is_dir())
                .collect(),
            paths: photos().filter_map(canonical).collect(),
            inodes: photos().filter_map(|photo| device_and_inode(photo)).collect(),
        }
    }

    /// Checks that a file may be written.
    ///
    /// # Errors
    /// The reason why not, as text for the user.
    pub fn check(&self, target: &Path) -> Result<(), String> {
        let folder = resolve(target.parent().unwrap_or(Path::new(".")));
        if self.folders.iter().any(|input| folder.starts_with(input)) {
            return Err(format!(
                "{} is inside IN ({}): files in IN are never changed",
                display_path(target),
                display_path(&folder)
            ));
        }
        let path = target.file_name().map(|name| folder.join(name));
        let is_photo = path.is_some_and(|path| self.paths.contains(&path))
            || device_and_inode(target).is_some_and(|file| self.inodes.contains(&file));
        if is_photo {
            return Err(format!(
                "{} is one of the photos in IN: files in IN are never changed",
                display_path(target)
            ));
        }
        Ok(())
    }
}

fn device_and_inode(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Resolves the links in a path that may not exist yet.
pub(super) fn resolve(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let existing = absolute
        .ancestors()
        .find_map(|ancestor| Some((fs::canonicalize(ancestor).ok()?, ancestor.to_owned())));
    match existing {
        Some((canonical, ancestor)) => {
            canonical.join(absolute.strip_prefix(&ancestor).unwrap_or(Path::new("")))
        }
        None => absolute,
    }
}
