//! `anonymizer file`, run as a program.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../imaging/tests/support/mod.rs"]
mod support;

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
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

/// All files below a folder, by relative path.
fn read_files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
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

/// A temporary folder with the folders IN and OUT.
struct Folders {
    root: tempfile::TempDir,
}

impl Folders {
    fn with_input(photos: &[(&str, Vec<u8>)]) -> Self {
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
fn folder_is_anonymised_and_not_changed() {
    let folders = Folders::with_input(&[
        ("astronaut.png", sample("astronaut.png")),
        ("day/plain.JPEG", jpeg(&gradient(50, 40), |_| {})),
        ("notes.txt", b"no photo".to_vec()),
    ]);
    let before = read_files(&folders.input());
    let (code, stdout, stderr) = run(&mut anonymizer(&[&folders.input(), &folders.output()]));
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(stdout, "2 anonymised, 0 failed, 1 other files skipped\n");
    let written = read_files(&folders.output());
    assert_eq!(
        written.keys().collect::<Vec<_>>(),
        ["astronaut.jpg", "day/plain.jpg"]
    );
    assert!(written.values().all(|photo| photo.starts_with(b"\xFF\xD8\xFF")));
    assert_eq!(read_files(&folders.input()), before);
}

#[test]
fn failed_photo_is_not_written_but_the_others_are() {
    let mut truncated = sample("astronaut.png");
    truncated.truncate(truncated.len() / 2);
    let folders = Folders::with_input(&[
        ("truncated.png", truncated),
        ("text.jpg", b"text".to_vec()),
        ("whole.png", png_of(&gradient(9, 9))),
    ]);
    let (code, stdout, stderr) = run(&mut anonymizer(&[&folders.input(), &folders.output()]));
    assert_eq!(code, 1);
    assert_eq!(stdout, "1 anonymised, 2 failed\n");
    assert!(
        stderr.contains("truncated.png: corrupt picture") && stderr.contains("text.jpg: unsupported format"),
        "{stderr}"
    );
    assert_eq!(
        read_files(&folders.output()).keys().collect::<Vec<_>>(),
        ["whole.jpg"]
    );
}

#[test]
fn json_prints_one_line_per_photo() {
    let folders = Folders::with_input(&[("a.png", sample("astronaut.png")), ("b.jpg", Vec::new())]);
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
fn files_are_overwritten_only_with_the_flag() {
    let photo = jpeg(&gradient(20, 20), |_| {});
    let folders = Folders::with_input(&[("a.jpg", photo.clone()), ("a.png", png_of(&gradient(20, 20)))]);
    let (code, _, stderr) = run(&mut anonymizer(&[&folders.input(), &folders.output()]));
    assert_eq!(code, 1);
    assert!(stderr.contains("a.png: would become"), "{stderr}");

    let existing = folders.output().join("a.jpg");
    fs::write(&existing, "existing").unwrap();
    let single = folders.input().join("a.jpg");
    let (code, _, stderr) = run(&mut anonymizer(&[&single, &folders.output()]));
    assert_eq!(code, 1);
    assert!(
        stderr.contains("already exists: use --overwrite to replace it"),
        "{stderr}"
    );
    assert_eq!(fs::read(&existing).unwrap(), b"existing");

    let (code, _, stderr) = run(anonymizer(&[&single, &folders.output()]).arg("--overwrite"));
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(fs::read(&existing).unwrap().starts_with(b"\xFF\xD8\xFF"));
}

#[test]
fn invalid_arguments_exit_with_2_before_anything_is_written() {
    let folders = Folders::with_input(&[("a.jpg", jpeg(&gradient(20, 20), |_| {}))]);
    let input = folders.input();
    let (code, _, stderr) = run(&mut anonymizer(&[&input, &input.join("out")]));
    assert_eq!(code, 2);
    assert!(stderr.contains("choose a folder OUT outside IN"), "{stderr}");

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

fn plain_jpeg() -> Vec<u8> {
    jpeg(&gradient(20, 20), |_| {})
}

#[test]
fn json_is_valid_for_any_file_name() {
    let folders = Folders::with_input(&[
        ("a\u{1b}[2J\u{202e}\n.jpg", plain_jpeg()),
        ("b.jpg", plain_jpeg()),
    ]);
    let name = OsStr::from_bytes(b"c\xff.jpg");
    fs::write(folders.input().join(name), plain_jpeg()).unwrap();
    let (code, stdout, stderr) = run(anonymizer(&[&folders.input(), &folders.output()]).arg("--json"));
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(
        stdout
            .chars()
            .all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'),
        "{stdout:?}"
    );
    let mut names: Vec<String> = stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| {
            line["output"]
                .as_str()
                .unwrap()
                .rsplit('/')
                .next()
                .unwrap()
                .to_owned()
        })
        .collect();
    names.sort();
    assert_eq!(names, ["a\u{1b}[2J\u{202e}\n.jpg", "b.jpg", "c\u{fffd}.jpg"]);
    assert!(folders.output().join(name).exists());
}

/// A full disk behind stdout is an error, unlike a closed pipe.
#[test]
fn failing_stdout_is_an_error() {
    let folders = Folders::with_input(&[("a.jpg", plain_jpeg())]);
    for json in [true, false] {
        let mut command = anonymizer(&[&folders.input(), &folders.output()]);
        command.arg("--overwrite").args(json.then_some("--json"));
        let full = fs::File::create("/dev/full").unwrap();
        let output = command.stdout(full).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.starts_with("stdout: No space left"), "{stderr}");
    }
    assert!(folders.output().join("a.jpg").exists());
}

#[test]
fn error_messages_contain_no_control_characters() {
    let folders = Folders::with_input(&[("a\u{1b}]0;x\u{7}\u{202e}gpj.jpg", b"text".to_vec())]);
    let (code, _, stderr) = run(&mut anonymizer(&[&folders.input(), &folders.output()]));
    assert_eq!(code, 1);
    assert!(
        stderr.contains(r"a\u001b]0;x\u0007\u202egpj.jpg: unsupported format"),
        "{stderr:?}"
    );
    let missing = folders.input().join("\u{1b}c");
    let (code, _, stderr) = run(&mut anonymizer(&[&missing, &folders.output()]));
    assert_eq!(code, 2);
    assert!(!stderr.contains('\u{1b}'), "{stderr:?}");
}

#[test]
fn unreadable_folder_does_not_stop_the_others() {
    let folders = Folders::with_input(&[("a.jpg", plain_jpeg()), ("z.jpg", plain_jpeg())]);
    let half: std::path::PathBuf = std::iter::repeat_n("n".repeat(250), 9).collect();
    let (upper, lower) = (
        folders.input().join("m").join(&half),
        folders.root.path().join("lower"),
    );
    fs::create_dir_all(&upper).unwrap();
    fs::create_dir_all(lower.join(&half)).unwrap();
    // The path is now longer than PATH_MAX. Missing permissions would not stop root.
    fs::rename(&lower, upper.join("lower")).unwrap();
    let (code, stdout, stderr) = run(&mut anonymizer(&[&folders.input(), &folders.output()]));
    assert_eq!(code, 1, "{stderr}");
    assert_eq!(stdout, "2 anonymised, 1 failed\n");
    assert!(
        stderr.contains(": cannot be read: File name too long"),
        "{stderr}"
    );
}

#[test]
fn skipped_links_are_counted() {
    let folders = Folders::with_input(&[("a.jpg", plain_jpeg())]);
    symlink("/nowhere", folders.input().join("dangling.jpg")).unwrap();
    symlink("/", folders.input().join("folder")).unwrap();
    let arguments = [folders.input(), folders.output()];
    let arguments = arguments.each_ref().map(std::path::PathBuf::as_path);
    let (code, stdout, _) = run(&mut anonymizer(&arguments));
    let links = "2 links to folders or missing files skipped\n";
    assert_eq!((code, stdout), (0, format!("1 anonymised, 0 failed, {links}")));
    let (code, _, stderr) = run(anonymizer(&arguments).args(["--json", "--overwrite"]));
    assert_eq!((code, stderr.as_str()), (0, links));
}

/// A lost original cannot be restored.
#[test]
fn photos_in_in_are_never_overwritten() {
    let folders = Folders::with_input(&[
        ("day/a.jpg", plain_jpeg()),
        ("b.jpg", plain_jpeg()),
        ("c.jpg", plain_jpeg()),
    ]);
    let (input, output) = (folders.input(), folders.output());
    let before = read_files(&input);
    fs::create_dir(&output).unwrap();
    symlink(input.join("day"), output.join("day")).unwrap();
    symlink(input.join("b.jpg"), output.join("b.jpg")).unwrap();
    fs::hard_link(input.join("c.jpg"), output.join("c.jpg")).unwrap();
    let (code, stdout, stderr) = run(anonymizer(&[&input, &output]).arg("--overwrite"));
    assert_eq!((code, stdout.as_str()), (1, "0 anonymised, 3 failed\n"));
    assert!(
        stderr.contains("is inside IN") && stderr.contains("is one of the photos in IN"),
        "{stderr}"
    );
    assert_eq!(read_files(&input), before);

    // No folder is created inside IN.
    fs::remove_file(output.join("day")).unwrap();
    fs::create_dir(input.join("new")).unwrap();
    symlink(input.join("new"), output.join("day")).unwrap();
    let (code, _, _) = run(&mut anonymizer(&[&input, &output]));
    assert_eq!(code, 1);
    assert_eq!(read_files(&input), before);

    let (code, _, stderr) = run(anonymizer(&[&input.join("b.jpg"), &input]).arg("--overwrite"));
    assert_eq!(code, 1);
    assert!(stderr.contains("is one of the photos in IN"), "{stderr}");
    let linked = folders.root.path().join("linked");
    symlink(&input, &linked).unwrap();
    let (code, _, _) = run(anonymizer(&[&linked.join("b.jpg"), &input]).arg("--overwrite"));
    assert_eq!(code, 1);
    assert_eq!(read_files(&input), before);
}
