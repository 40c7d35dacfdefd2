//! The corpus of the fuzz target `image_decode`, replayed through its check.

#![expect(
    clippy::unwrap_used,
    reason = "a panic is how a test fails, what it printed last is the file"
)]

use std::{fs, path::Path};

use imaging::picture;

#[path = "../../../contract/fuzz/checks/image_decode.rs"]
mod checks;

#[test]
fn image_decode() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contract/fuzz/corpus/image_decode");
    let mut replayed = 0;
    for entry in fs::read_dir(&corpus).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        checks::check(&fs::read(&path).unwrap());
        replayed += 1;
    }
    assert!(replayed >= 20, "{replayed} in {}", corpus.display());
}
