//! `anonymizer file`, as one types it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../imaging/tests/support/mod.rs"]
mod support;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use support::{
    library,
    photos::{gradient, jpeg, png_of},
    sample,
};

fn anonymizer(arguments: &[&Path]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anonymizer"));
    command
        .arg("file")
        .args(arguments)
        .env_clear()
        .env("ORT_DYLIB_PATH", library());
    command
}

fn run(command: &mut Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// Every file below a folder, by its path in it.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    walkdir::WalkDir::new(folder)
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let name = entry
                .path()
                .strip_prefix(folder)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

struct Folders {
    root: tempfile::TempDir,
}

impl Folders {
    fn with(photos: &[(&str, Vec<u8>)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        for (name, bytes) in photos {
            let path = root.path().join("in").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        Self { root }
    }

    fn input(&self) -> std::path::PathBuf {
        self.root.path().join("in")
    }

    fn output(&self) -> std::path::PathBuf {
        self.root.path().join("out")
    }
}

#[test]
fn a_folder_is_anonymised_and_left_as_it_was() {
    let folders = Folders::with(&[
        ("astronaut.png", sample("astronaut.png")),
        ("day/plain.JPEG", jpeg(&gradient(50, 40), |_| {})),
        ("notes.txt", b"no photo".to_vec()),
    ]);
    let before = files(&folders.input());
    let (code, stdout, stderr) = run(&mut anonymizer(&[&folders.input(), &folders.output()]));
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(
        stdout,
        "2 anonymised, 0 failed, 1 files passed over that are no photos\n"
    );
    let written = files(&folders.output());
    assert_eq!(
        written.keys().collect::<Vec<_>>(),
        ["astronaut.jpg", "day/plain.jpg"]
    );
    assert!(written.values().all(|photo| photo.starts_with(b"\xFF\xD8\xFF")));
    assert_eq!(files(&folders.input()), before);
}

#[test]
fn a_failed_photo_is_not_written_and_the_others_are() {
    let mut cut = sample("astronaut.png");
    cut.truncate(cut.len() / 2);
    let folders = Folders::with(&[
        ("cut.png", cut),
        ("text.jpg", b"text".to_vec()),
        ("whole.png", png_of(&gradient(9, 9))),
    ]);
    let (code, stdout, stderr) = run(&mut anonymizer(&[&folders.input(), &folders.output()]));
    assert_eq!(code, 1);
    assert_eq!(stdout, "1 anonymised, 2 failed\n");
    assert!(
        stderr.contains("cut.png: corrupt picture") && stderr.contains("text.jpg: unsupported format"),
        "{stderr}"
    );
    assert_eq!(files(&folders.output()).keys().collect::<Vec<_>>(), ["whole.jpg"]);
}

#[test]
fn json_has_a_line_for_each_photo() {
    let folders = Folders::with(&[("a.png", sample("astronaut.png")), ("b.jpg", Vec::new())]);
    let (code, stdout, stderr) = run(anonymizer(&[&folders.input(), &folders.output()]).arg("--json"));
    assert_eq!((code, stderr.as_str()), (1, ""));
    let mut lines: Vec<Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    lines.sort_by_key(|line| line["input"].to_string());
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["outcome"], "anonymized");
    assert_eq!(
        (&lines[0]["width"], &lines[0]["height"]),
        (&512.into(), &512.into())
    );
    let classes: Vec<&str> = lines[0]["detections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["class"].as_str().unwrap())
        .collect();
    assert!(
        classes.contains(&"person") && classes.contains(&"face"),
        "{classes:?}"
    );
    assert!(lines[0]["seconds"]["detect"].as_f64().unwrap() > 0.0);
    assert_eq!(
        (&lines[1]["outcome"], &lines[1]["reason"]),
        (&"failed".into(), &"corrupt-image".into())
    );
}

#[test]
fn nothing_is_overwritten_unasked() {
    let photo = jpeg(&gradient(20, 20), |_| {});
    let folders = Folders::with(&[("a.jpg", photo.clone()), ("a.png", png_of(&gradient(20, 20)))]);
    let (code, _, stderr) = run(&mut anonymizer(&[&folders.input(), &folders.output()]));
    assert_eq!(code, 1);
    assert!(stderr.contains("a.png: would become"), "{stderr}");

    let mine = folders.output().join("a.jpg");
    fs::write(&mine, "mine").unwrap();
    let single = folders.input().join("a.jpg");
    let (code, _, stderr) = run(&mut anonymizer(&[&single, &folders.output()]));
    assert_eq!(code, 1);
    assert!(
        stderr.contains("is there already; --overwrite replaces it"),
        "{stderr}"
    );
    assert_eq!(fs::read(&mine).unwrap(), b"mine");

    let (code, _, stderr) = run(anonymizer(&[&single, &folders.output()]).arg("--overwrite"));
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(fs::read(&mine).unwrap().starts_with(b"\xFF\xD8\xFF"));
}

#[test]
fn what_makes_no_sense_ends_with_2_before_anything_is_written() {
    let folders = Folders::with(&[("a.jpg", jpeg(&gradient(20, 20), |_| {}))]);
    let input = folders.input();
    let (code, _, stderr) = run(&mut anonymizer(&[&input, &input.join("out")]));
    assert_eq!(code, 2);
    assert!(stderr.contains("nothing is written into IN"), "{stderr}");

    let (code, _, stderr) = run(anonymizer(&[&input, &folders.output()]).env("CLASSES", "car"));
    assert_eq!(code, 2);
    assert!(
        stderr.contains("CLASSES") && stderr.contains("ALLOW_PARTIAL=1"),
        "{stderr}"
    );

    let missing = Path::new("/nowhere/libonnxruntime.so");
    let (code, _, stderr) = run(anonymizer(&[&input, &folders.output()]).env("ORT_DYLIB_PATH", missing));
    assert_eq!(code, 2);
    assert!(
        stderr.contains("/nowhere/libonnxruntime.so") && stderr.contains("make setup"),
        "{stderr}"
    );
    assert!(!folders.output().exists());
}
