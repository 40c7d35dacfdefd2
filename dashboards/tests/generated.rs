//! What is imported is what `source` says. `UPDATE=1 cargo test -p dashboards
//! --test generated` writes `irmgard.ndjson` and `alerts/`.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is how it fails")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use dashboards::{Source, import_file, monitor};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file that is made, with its text.
fn made() -> BTreeMap<PathBuf, String> {
    let source = Source::read(&folder().join("source")).unwrap();
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
fn files_are_what_the_source_says() {
    let made = made();
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
    format!(
        "{} is out of date: UPDATE=1 cargo test -p dashboards --test generated",
        path.display()
    )
}
