//! Replays the corpus of the fuzz target.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is how it fails")]

use std::{fs, path::Path};

#[path = "../fuzz/checks/container.rs"]
mod container;

#[test]
fn containers() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/container");
    let mut replayed = 0;
    for entry in fs::read_dir(&corpus).unwrap() {
        let path = entry.unwrap().path();
        // The last printed path is the file of a failure.
        println!("{}", path.display());
        container::check(&fs::read(&path).unwrap());
        replayed += 1;
    }
    assert!(replayed >= 8, "{replayed} in {}", corpus.display());
}
