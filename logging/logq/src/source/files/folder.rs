//! Lists the log files of folders, without duplicates.
//!
//! Follows links: a node's `/var/log/containers` contains only links, and a runtime may store files elsewhere. Files
//! are identified by device and inode, so no file is read twice and no loop is endless.

use std::{
    collections::HashMap,
    fs::{self, Metadata},
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use log_normalizer::ContainerRef;
use walkdir::{DirEntry, WalkDir};

use super::FileError;

/// Maximum length of a chain of links, as in Linux (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// The pod list beside a folder: the output of `kubectl get pods -A -o json`.
pub(super) const POD_LIST: &str = "pods.json";

/// Identifies a file independent of its name. The system may reuse an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    pub(super) device: u64,
    pub(super) inode: u64,
}

impl FileId {
    pub(super) fn from_metadata(data: &Metadata) -> Self {
        Self {
            device: data.dev(),
            inode: data.ino(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundFile {
    pub id: FileId,
    /// For a link to a container's file: the kubelet's path.
    pub path: PathBuf,
    pub size: u64,
    /// The container of the file.
    pub place: Option<ContainerRef>,
    /// Not a pipe.
    regular: bool,
}

impl FoundFile {
    pub fn new(path: PathBuf, data: &Metadata) -> Self {
        let (path, place) = locate_container(path);
        Self {
            id: FileId::from_metadata(data),
            path,
            size: data.len(),
            place,
            regular: data.is_file(),
        }
    }
}

/// Removes duplicates. Keeps the first path, or the first one that identifies a container.
pub(super) fn deduplicate(files: Vec<FoundFile>) -> Vec<FoundFile> {
    let mut index_by_id: HashMap<FileId, usize> = HashMap::new();
    let mut deduplicate: Vec<FoundFile> = Vec::new();
    for file in files {
        match index_by_id
            .get(&file.id)
            .and_then(|&number| deduplicate.get_mut(number))
        {
            Some(before) if file.regular => {
                if before.place.is_none() && file.place.is_some() {
                    *before = file;
                }
            }
            _ => {
                index_by_id.insert(file.id, deduplicate.len());
                deduplicate.push(file);
            }
        }
    }
    deduplicate
}

/// Lists the log files in a folder, and adds errors to `errors`. A dangling link is no error: the runtime removed a
/// file that the kubelet still links.
pub(super) fn list_log_files(folder: &Path, errors: &mut Vec<FileError>) -> Vec<FoundFile> {
    let mut files = Vec::new();
    let walk = WalkDir::new(folder).follow_links(true).sort_by_file_name();
    for entry in walk.into_iter().filter_entry(|entry| !is_hidden(entry)) {
        let file = match entry {
            Ok(entry) if !entry.file_type().is_file() || !is_log_file(entry.path()) => continue,
            Ok(entry) => {
                let data = fs::metadata(entry.path());
                let file = data.map(|data| FoundFile::new(entry.path().to_owned(), &data));
                file.map_err(FileError::io(entry.path()))
            }
            // The files of a loop are already listed.
            Err(error) if error.loop_ancestor().is_some() => continue,
            Err(error) => {
                let path = error.path().unwrap_or(folder).to_owned();
                Err(FileError::Io {
                    path,
                    error: error.into(),
                })
            }
        };
        match file {
            Ok(file) => files.push(file),
            Err(FileError::Io { path, error }) if is_dangling(&path, error.kind()) => {}
            Err(error) => errors.push(error),
        }
    }
    files
}

/// Whether it is a dangling link, or was just removed.
fn is_dangling(path: &Path, error: ErrorKind) -> bool {
    let is_link = || fs::symlink_metadata(path).is_ok_and(|data| data.is_symlink());
    error == ErrorKind::NotFound || error != ErrorKind::PermissionDenied && is_link()
}

/// Finds the container of a file, by its path or a link on the way to it. Returns that path, too.
fn locate_container(path: PathBuf) -> (PathBuf, Option<ContainerRef>) {
    let mut at = path.clone();
    for _ in 0..MAX_LINKS {
        if let Some(place) = container_ref(&at) {
            return (at, Some(place));
        }
        let Ok(target) = fs::read_link(&at) else { break };
        at = at.parent().unwrap_or_else(|| Path::new("")).join(target);
    }
    (path, None)
}

fn container_ref(file: &Path) -> Option<ContainerRef> {
    let name = file.file_name()?.to_str()?;
    let (start, rest) = name.split_once('.')?;
    let numbered = start.bytes().all(|b| b.is_ascii_digit()) && rest.starts_with("log");
    numbered.then(|| ContainerRef::from_log_path(file)).flatten()
}

/// Hidden files of other programs.
fn is_hidden(entry: &DirEntry) -> bool {
    entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b".")
}

fn is_log_file(file: &Path) -> bool {
    let Some(name) = file.file_name().and_then(|name| name.to_str()) else {
        return false;
    };
    if name == POD_LIST {
        return false;
    }
    let name = name
        .strip_suffix(".gz")
        .or_else(|| name.strip_suffix(".zst"))
        .unwrap_or(name);
    name.ends_with(".json") || name.ends_with(".jsonl") || name.ends_with(".log") || name.contains(".log.")
}

#[cfg(test)]
mod tests {
    use std::{
        fs::Permissions,
        os::unix::fs::{self as unix, PermissionsExt},
        thread,
    };

    use tempfile::TempDir;

    use super::*;

    const POD: &str = "photos_irmgard-0_u1/main";

    fn write(file: &Path) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "x\n").unwrap();
    }

    /// The files and errors that an unprivileged user gets.
    fn found(folder: &Path) -> (Vec<PathBuf>, Vec<String>) {
        let folder = folder.to_owned();
        let scan = move || {
            nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65_534));
            let mut errors = Vec::new();
            let files = deduplicate(list_log_files(&folder, &mut errors));
            let path = |file: FoundFile| file.path.strip_prefix(&folder).unwrap().to_owned();
            let messages = errors.iter().map(ToString::to_string).collect();
            (files.into_iter().map(path).collect(), messages)
        };
        thread::spawn(scan).join().unwrap()
    }

    fn folder() -> TempDir {
        let folder = TempDir::new().unwrap();
        mode(folder.path(), 0o755);
        folder
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn links_are_followed_to_the_container_files() {
        let node = folder();
        let runtime = node.path().join("runtime/17/17-json.log");
        write(&runtime);
        let kept = node.path().join("pods").join(POD).join("0.log");
        fs::create_dir_all(kept.parent().unwrap()).unwrap();
        unix::symlink(&runtime, &kept).unwrap();
        write(&kept.with_file_name("0.log.20261122-101500"));
        let links = node.path().join("containers");
        fs::create_dir(&links).unwrap();
        unix::symlink(
            Path::new("../pods").join(POD).join("0.log"),
            links.join("irmgard-0_photos_main-17.log"),
        )
        .unwrap();
        let locate_container = |folder: &Path| {
            let files = list_log_files(folder, &mut Vec::new());
            let places = files.into_iter().map(|file| file.place.map(|place| place.pod));
            places.collect::<Vec<_>>()
        };
        let pod = || Some("irmgard-0".to_owned());
        assert_eq!(locate_container(&links), [pod()]);
        assert_eq!(locate_container(&node.path().join("pods")), [pod(), pod()]);
        // Three names for the same files.
        let mut file = list_log_files(&node.path().join("runtime"), &mut Vec::new());
        file.extend(list_log_files(node.path(), &mut Vec::new()));
        let places: Vec<_> = deduplicate(file)
            .into_iter()
            .map(|file| file.place.map(|place| place.pod))
            .collect();
        assert_eq!(places, [pod(), pod()]);
    }

    #[test]
    fn dangling_and_circular_links_are_skipped() {
        let outer = folder();
        let sub = outer.path().join("sub");
        write(&sub.join("a.log"));
        unix::symlink(outer.path(), sub.join("again")).unwrap();
        unix::symlink("self.log", sub.join("self.log")).unwrap();
        unix::symlink("gone.log", sub.join("link.log")).unwrap();
        unix::symlink("a.log", sub.join("b.log")).unwrap();
        assert_eq!(
            found(outer.path()),
            (vec![PathBuf::from("sub/a.log")], Vec::new())
        );
    }

    #[test]
    fn unreadable_entries_do_not_end_the_search() {
        let outer = folder();
        for name in ["a/1.log", "b/2.log", "c/3.log"] {
            write(&outer.path().join(name));
        }
        mode(&outer.path().join("b"), 0o000);
        unix::symlink(outer.path().join("b/2.log"), outer.path().join("c/link.log")).unwrap();
        let (files, messages) = found(outer.path());
        mode(&outer.path().join("b"), 0o755);
        assert_eq!(files, [PathBuf::from("a/1.log"), PathBuf::from("c/3.log")]);
        assert_eq!(messages.len(), 2, "{messages:?}");
        assert!(
            messages[0].contains("/b: ") && messages[1].contains("/c/link.log: "),
            "{messages:?}"
        );
    }
}
