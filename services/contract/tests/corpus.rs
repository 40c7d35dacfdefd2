//! The fuzz targets' corpus, replayed through their own checks.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a panic is how a test fails, what it printed last is the file"
)]

use std::{fs, path::Path};

#[path = "../fuzz/checks/image_header.rs"]
mod image_header;
#[path = "../fuzz/checks/job_message.rs"]
mod job_message;
#[path = "../fuzz/checks/result_message.rs"]
mod result_message;

fn replay(target: &str, at_least: usize, check: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut replayed = 0;
    for entry in fs::read_dir(&corpus).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        check(&fs::read(&path).unwrap());
        replayed += 1;
    }
    assert!(replayed >= at_least, "{replayed} in {}", corpus.display());
}

#[test]
fn job_messages() {
    replay("job_message", 11, job_message::check);
}

#[test]
fn result_messages() {
    replay("result_message", 9, result_message::check);
}

#[test]
fn image_headers() {
    replay("image_header", 20, image_header::check);
}
