//! The fingerprint of a program's files, which shows whether they have changed since the program's start.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::program::Program;

/// Executable and sources of a program: paths, sizes in bytes, modification times in nanoseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fingerprint(Vec<(PathBuf, u64, u128)>);

impl Fingerprint {
    /// The fingerprint of the current files.
    pub(super) fn compute(program: &Program) -> Self {
        let mut files = Vec::new();
        add_files(&mut files, &program.executable);
        for source in &program.sources {
            add_files(&mut files, source);
        }
        files.sort();
        Self(files)
    }
}

fn add_files(files: &mut Vec<(PathBuf, u64, u128)>, path: &Path) {
    if let Ok(folder) = fs::read_dir(path) {
        for entry in folder.flatten() {
            add_files(files, &entry.path());
        }
    } else {
        // A missing file has size and time 0, so its creation is a change.
        let (size, modified) = fs::metadata(path)
            .map(|data| (data.len(), modified_nanos(&data)))
            .unwrap_or_default();
        files.push((path.to_owned(), size, modified));
    }
}

fn modified_nanos(data: &Metadata) -> u128 {
    let time = data.modified().ok();
    time.and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |age| age.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Lifetime, LogDestination};

    #[test]
    fn a_change_of_the_executable_or_its_sources_changes_the_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        let (executable, sources) = (folder.path().join("program"), folder.path().join("conf.d"));
        fs::write(&executable, "1").unwrap();
        fs::create_dir(&sources).unwrap();
        fs::write(sources.join("10-tail.conf"), "1").unwrap();
        let output = LogDestination::File(folder.path().join("out"));
        let lifetime = Lifetime::WithParent("KILL".into());
        let program = Program {
            sources: vec![sources.clone(), folder.path().join("fluent.conf")],
            ..Program::new("program", executable.clone(), folder.path(), output, lifetime)
        };

        let mut before = Fingerprint::compute(&program);
        assert_eq!(before, Fingerprint::compute(&program));
        let changes: [&dyn Fn(); 4] = [
            &|| fs::write(&executable, "22").unwrap(),
            &|| fs::write(sources.join("10-tail.conf"), "22").unwrap(),
            &|| fs::write(sources.join("20-new.conf"), "").unwrap(),
            &|| fs::write(folder.path().join("fluent.conf"), "").unwrap(),
        ];
        for (number, change) in changes.iter().enumerate() {
            change();
            let now = Fingerprint::compute(&program);
            assert_ne!(before, now, "change {number}");
            before = now;
        }
    }
}
