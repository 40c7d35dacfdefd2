//! `anonymizer file`, as one types it.

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

fn photo() -> Vec<u8> {
    jpeg(&gradient(20, 20), |_| {})
}

#[test]
fn json_is_whole_whatever_a_name_holds() {
    let folders = Folders::with(&[("a\u{1b}[2J\u{202e}\n.jpg", photo()), ("b.jpg", photo())]);
    let name = OsStr::from_bytes(b"c\xff.jpg");
    fs::write(folders.input().join(name), photo()).unwrap();
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

/// A full disk behind stdout; a reader that has gone is none.
#[test]
fn lines_that_cannot_be_written_are_no_success() {
    let folders = Folders::with(&[("a.jpg", photo())]);
    for json in [true, false] {
        let mut command = anonymizer(&[&folders.input(), &folders.output()]);
        command.arg("--overwrite").args(json.then_some("--json"));
        let full = fs::File::create("/dev/full").unwrap();
        let done = command.stdout(full).output().unwrap();
        let stderr = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(1), "{stderr}");
        assert!(stderr.starts_with("stdout: No space left"), "{stderr}");
    }
    assert!(folders.output().join("a.jpg").exists());
}

#[test]
fn names_do_nothing_to_a_terminal() {
    let folders = Folders::with(&[("a\u{1b}]0;x\u{7}\u{202e}gpj.jpg", b"text".to_vec())]);
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
fn folder_that_cannot_be_read_does_not_stop_the_others() {
    let folders = Folders::with(&[("a.jpg", photo()), ("z.jpg", photo())]);
    let half: std::path::PathBuf = std::iter::repeat_n("n".repeat(250), 9).collect();
    let (upper, lower) = (
        folders.input().join("m").join(&half),
        folders.root.path().join("lower"),
    );
    fs::create_dir_all(&upper).unwrap();
    fs::create_dir_all(lower.join(&half)).unwrap();
    // Over PATH_MAX now; that no folder may be read, root would not notice.
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
fn links_that_are_not_followed_are_counted() {
    let folders = Folders::with(&[("a.jpg", photo())]);
    symlink("/nowhere", folders.input().join("dangling.jpg")).unwrap();
    symlink("/", folders.input().join("folder")).unwrap();
    let arguments = [folders.input(), folders.output()];
    let arguments = arguments.each_ref().map(std::path::PathBuf::as_path);
    let (code, stdout, _) = run(&mut anonymizer(&arguments));
    let links = "2 links passed over that lead to a folder or nowhere\n";
    assert_eq!((code, stdout), (0, format!("1 anonymised, 0 failed, {links}")));
    let (code, _, stderr) = run(anonymizer(&arguments).args(["--json", "--overwrite"]));
    assert_eq!((code, stderr.as_str()), (0, links));
}

/// The one thing that can never be undone.
#[test]
fn no_photo_of_in_is_ever_overwritten() {
    let folders = Folders::with(&[("day/a.jpg", photo()), ("b.jpg", photo()), ("c.jpg", photo())]);
    let (input, output) = (folders.input(), folders.output());
    let before = files(&input);
    fs::create_dir(&output).unwrap();
    symlink(input.join("day"), output.join("day")).unwrap();
    symlink(input.join("b.jpg"), output.join("b.jpg")).unwrap();
    fs::hard_link(input.join("c.jpg"), output.join("c.jpg")).unwrap();
    let (code, stdout, stderr) = run(anonymizer(&[&input, &output]).arg("--overwrite"));
    assert_eq!((code, stdout.as_str()), (1, "0 anonymised, 3 failed\n"));
    assert!(
        stderr.contains("lies in IN") && stderr.contains("is one of the photos in IN"),
        "{stderr}"
    );
    assert_eq!(files(&input), before);

    // A folder that does not exist yet is not made in IN, either.
    fs::remove_file(output.join("day")).unwrap();
    fs::create_dir(input.join("new")).unwrap();
    symlink(input.join("new"), output.join("day")).unwrap();
    let (code, _, _) = run(&mut anonymizer(&[&input, &output]));
    assert_eq!(code, 1);
    assert_eq!(files(&input), before);

    let (code, _, stderr) = run(anonymizer(&[&input.join("b.jpg"), &input]).arg("--overwrite"));
    assert_eq!(code, 1);
    assert!(stderr.contains("is one of the photos in IN"), "{stderr}");
    let linked = folders.root.path().join("linked");
    symlink(&input, &linked).unwrap();
    let (code, _, _) = run(anonymizer(&[&linked.join("b.jpg"), &input]).arg("--overwrite"));
    assert_eq!(code, 1);
    assert_eq!(files(&input), before);
}
