//! What a process was started from, to tell whether that has changed since.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::Program;

/// The executable and the sources of a program as they were: paths, sizes in bytes, times of the last change in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin(Vec<(PathBuf, u64, u128)>);

impl Origin {
    /// As they are now.
    pub(super) fn of(program: &Program) -> Self {
        let mut files = Vec::new();
        add(&mut files, &program.executable);
        for source in &program.sources {
            add(&mut files, source);
        }
        files.sort();
        Self(files)
    }
}

fn add(files: &mut Vec<(PathBuf, u64, u128)>, path: &Path) {
    if let Ok(folder) = fs::read_dir(path) {
        for entry in folder.flatten() {
            add(files, &entry.path());
        }
    } else {
        // What is away has changed when it comes.
        let (size, changed) = fs::metadata(path)
            .map(|data| (data.len(), changed(&data)))
            .unwrap_or_default();
        files.push((path.to_owned(), size, changed));
    }
}

fn changed(data: &Metadata) -> u128 {
    let time = data.modified().ok();
    time.and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |age| age.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Lifetime, Output};

    #[test]
    fn a_change_of_the_executable_or_of_what_it_reads_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let (executable, sources) = (folder.path().join("program"), folder.path().join("conf.d"));
        fs::write(&executable, "1").unwrap();
        fs::create_dir(&sources).unwrap();
        fs::write(sources.join("10-tail.conf"), "1").unwrap();
        let program = Program {
            name: "program".into(),
            executable: executable.clone(),
            arguments: Vec::new(),
            environment: Default::default(),
            directory: folder.path().into(),
            output: Output::File(folder.path().join("out")),
            account: None,
            lifetime: Lifetime::WithParent("KILL".into()),
            sources: vec![sources.clone(), folder.path().join("fluent.conf")],
        };

        let mut before = Origin::of(&program);
        assert_eq!(before, Origin::of(&program));
        let changes: [&dyn Fn(); 4] = [
            &|| fs::write(&executable, "22").unwrap(),
            &|| fs::write(sources.join("10-tail.conf"), "22").unwrap(),
            &|| fs::write(sources.join("20-new.conf"), "").unwrap(),
            &|| fs::write(folder.path().join("fluent.conf"), "").unwrap(),
        ];
        for (number, change) in changes.iter().enumerate() {
            change();
            let now = Origin::of(&program);
            assert_ne!(before, now, "change {number}");
            before = now;
        }
    }
}
