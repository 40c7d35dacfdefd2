//! The files for the import are up to date. `make generate` writes `irmgard.ndjson` and `alerts/`.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is how it fails")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use dashboards::{DashboardSource, import_file, monitor};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The generated files with their contents.
fn generated() -> BTreeMap<PathBuf, String> {
    let source = DashboardSource::read(&folder().join("source")).unwrap();
    let mut files = BTreeMap::from([(folder().join("irmgard.ndjson"), import_file(&source).unwrap())]);
    for alert in &source.alerts {
        let path = folder().join(format!("alerts/{}.json", alert.id));
        files.insert(path, format!("{:#}\n", monitor(alert)));
    }
    files
}

fn alerts() -> Vec<PathBuf> {
    let files = fs::read_dir(folder().join("alerts")).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

#[test]
fn generated_files_are_up_to_date() {
    let made = generated();
    if std::env::var_os("UPDATE").is_some() {
        for old in alerts() {
            fs::remove_file(old).unwrap();
        }
        for (path, text) in &made {
            fs::write(path, text).unwrap();
        }
    }
    for (path, text) in &made {
        let there = fs::read_to_string(path).unwrap_or_default();
        assert!(there == *text, "{}", out_of_date(path));
    }
    for path in alerts() {
        assert!(made.contains_key(&path), "{}", out_of_date(&path));
    }
}

fn out_of_date(path: &Path) -> String {
    format!("{} is out of date: run `make generate`", path.display())
}
