mod pods;

use std::{
    fs::{self, OpenOptions, Permissions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const POD: &str = "photos_irmgard-0_u1/irmgard";

fn append(path: &Path, text: &str) {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).unwrap();
    }
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

/// A kubelet line, at a second of the day.
fn cri(second: u32, tag: char, text: &str) -> String {
    format!(
        "2026-11-22T{:02}:{:02}:{:02}.000000001Z stdout {tag} {text}\n",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

fn open(path: &Path, start: Start) -> Tail {
    Tail::open(&[path.to_owned()], start).unwrap()
}

/// Returns the next lines, after a forced scan.
fn next(tail: &mut Tail) -> Vec<String> {
    tail.next_scan = Duration::ZERO;
    let mut all = Vec::new();
    loop {
        let entries = tail.poll(Duration::ZERO);
        if entries.is_empty() {
            assert!(tail.take_errors().is_empty());
            return all;
        }
        all.extend(entries.into_iter().map(|entry| {
            let message = entry.document.text("message").unwrap_or_default();
            message.to_owned()
        }));
    }
}

/// Simulates the passage of time.
fn later(tail: &mut Tail, seconds: u64) {
    tail.started -= Duration::from_secs(seconds);
}

#[test]
fn incomplete_lines_wait() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("app.log");
    append(&file, "one\ntw");
    let mut tail = open(&file, Start::Beginning);
    assert_eq!(next(&mut tail), ["one"]);
    append(&file, "o\nthree\nfo");
    assert_eq!(next(&mut tail), ["two", "three"]);
    assert_eq!(next(&mut tail), [""; 0]);
    append(&file, "ur\n");
    assert_eq!(next(&mut tail), ["four"]);
}

#[test]
fn end_position_is_after_complete_lines() {
    let folder = TempDir::new().unwrap();
    append(&folder.path().join("app.log"), "one\ntw");
    let mut tail = open(folder.path(), Start::End);
    assert_eq!(next(&mut tail), [""; 0]);
    append(&folder.path().join("app.log"), "o\n");
    append(&folder.path().join("new.log"), "new\n");
    let mut found = next(&mut tail);
    found.sort();
    assert_eq!(found, ["new", "two"]);
}

#[test]
fn renamed_files_are_read_once_to_their_end() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("app.log");
    append(&file, "one\n");
    for path in [&file, folder.path()] {
        let mut tail = open(path, Start::Beginning);
        let _ = next(&mut tail);
        append(&file, "before\n");
        fs::rename(&file, folder.path().join("app.log.1")).unwrap();
        append(&folder.path().join("app.log.1"), "late\n");
        assert_eq!(next(&mut tail), ["before", "late"]);
        append(&file, "after\n");
        assert_eq!(next(&mut tail), ["after"]);
    }
}

#[test]
fn truncated_file_is_read_from_its_start() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("app.log");
    append(&file, "one\ntwo\n");
    let mut tail = open(&file, Start::Beginning);
    assert_eq!(next(&mut tail), ["one", "two"]);
    fs::write(&file, "a\n").unwrap();
    assert_eq!(next(&mut tail), ["a"]);
    // Longer than before, so only the start differs.
    fs::write(&file, "b\nc\nd\ne\n").unwrap();
    assert_eq!(next(&mut tail), ["b", "c", "d", "e"]);
}

#[test]
fn reading_resumes_after_a_rename() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("app.log");
    append(&file, "one\ntwo\n");
    let mut tail = open(folder.path(), Start::Beginning);
    let _ = next(&mut tail);
    let note = folder.path().join(".positions");
    tail.positions().write(&note).unwrap();
    let noted = Positions::read(&note).unwrap();
    assert_eq!(noted, tail.positions());

    append(&file, "three\n");
    fs::rename(&file, folder.path().join("app.log.1")).unwrap();
    append(&file, "four\n");
    let mut tail = open(folder.path(), Start::At(noted.clone()));
    let mut found = next(&mut tail);
    found.sort();
    assert_eq!(found, ["four", "three"]);

    // The same inode with other content.
    fs::write(folder.path().join("app.log.1"), "quite other lines than before\n").unwrap();
    let mut tail = open(&folder.path().join("app.log.1"), Start::At(noted));
    assert_eq!(next(&mut tail), ["quite other lines than before"]);
}

#[test]
fn missing_and_invalid_positions() {
    let folder = TempDir::new().unwrap();
    let note = folder.path().join("positions");
    assert_eq!(Positions::read(&note).unwrap(), Positions::default());
    for text in ["", "{}", "{\"files\":[{}]}", "\0"] {
        fs::write(&note, text).unwrap();
        let error = Positions::read(&note).unwrap_err();
        assert_ne!(error.kind(), io::ErrorKind::NotFound, "{text}");
    }
}

#[test]
fn positions_stay_before_buffered_lines() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join(POD).join("0.log");
    append(&file, &cri(1, 'F', "whole"));
    append(&file, &cri(2, 'P', "be"));
    let mut tail = open(folder.path(), Start::Beginning);
    assert_eq!(next(&mut tail), ["whole"]);
    let positions = tail.positions();
    fs::rename(&file, file.with_file_name("0.log.20261122-000003")).unwrap();
    append(&file, &cri(3, 'F', "gun"));
    assert_eq!(next(&mut tail), ["begun"]);
    // A process that was killed here still gets the whole line.
    let mut second = open(folder.path(), Start::At(positions));
    assert_eq!(next(&mut second), ["begun"]);
    let mut third = open(folder.path(), Start::At(tail.positions()));
    assert_eq!(next(&mut third), [""; 0]);
}

#[test]
fn incomplete_text_is_released_in_time() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join(POD).join("0.log");
    append(&file, &cri(1, 'F', "panic: out of cheese"));
    append(&file, &cri(1, 'F', "\tmain.go:7"));
    let mut tail = open(folder.path(), Start::Beginning);
    assert_eq!(next(&mut tail), [""; 0]);
    later(&mut tail, 2);
    assert_eq!(next(&mut tail), ["panic: out of cheese\n\tmain.go:7"]);
    append(&file, &cri(5, 'P', "half"));
    assert_eq!(next(&mut tail), [""; 0]);
    later(&mut tail, 3);
    assert_eq!(next(&mut tail), [""; 0]);
    later(&mut tail, 3);
    assert_eq!(next(&mut tail), ["half"]);
}

#[test]
fn unfinished_line_ends_with_its_container() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join(POD).join("0.log");
    append(&file, cri(1, 'F', "killed in the midst").trim_end());
    let mut tail = open(folder.path(), Start::Beginning);
    append(&file.with_file_name("1.log"), &cri(2, 'F', "anew"));
    assert_eq!(next(&mut tail), ["anew"]);
    later(&mut tail, 6);
    assert_eq!(next(&mut tail), ["killed in the midst"]);
}

#[test]
fn too_long_line_is_cut_and_the_next_is_complete() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("app.log");
    append(&file, &"x".repeat(1_500_000));
    let mut tail = open(&file, Start::Beginning);
    assert_eq!(next(&mut tail), [""; 0]);
    append(&file, &format!("{}\nnext\n", "x".repeat(1_500_000)));
    let found = next(&mut tail);
    assert_eq!(found.len(), 2);
    assert!(found[0].len() >= 1024 * 1024 && found[0].len() < 1_100_000);
    assert_eq!(found[1], "next");
}

#[test]
fn hard_links_are_followed_once() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("pods").join(POD).join("0.log");
    append(&file, &cri(1, 'F', "a"));
    let links = folder.path().join("containers");
    fs::create_dir(&links).unwrap();
    std::os::unix::fs::symlink(&file, links.join("irmgard-0_photos_main-17.log")).unwrap();
    let mut tail = open(folder.path(), Start::Beginning);
    assert_eq!(next(&mut tail), ["a"]);
    append(&file, &cri(2, 'F', "b"));
    assert_eq!(next(&mut tail), ["b"]);
    let mut tail = open(&links, Start::Beginning);
    let entries = tail.poll(Duration::ZERO);
    let pods: Vec<_> = entries
        .iter()
        .map(|entry| entry.document.text("kubernetes.pod"))
        .collect();
    assert_eq!(pods, [Some("irmgard-0"), Some("irmgard-0")]);
}

#[test]
fn unreadable_folder_is_reported_once() {
    let folder = TempDir::new().unwrap();
    let (file, other) = (folder.path().join("a/a.log"), folder.path().join("b/b.log"));
    append(&file, "a\n");
    append(&other, "b\n");
    let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    mode(folder.path(), 0o755);
    mode(&folder.path().join("b"), 0o000);
    let path = folder.path().to_owned();
    // root can read everything: use another user, in its own thread.
    let follow = move || {
        nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65_534));
        let mut tail = open(&path, Start::Beginning);
        let reported = tail.take_errors().len();
        // Neither call reports it again.
        (reported, next(&mut tail), next(&mut tail))
    };
    let found = std::thread::spawn(follow).join().unwrap();
    mode(&folder.path().join("b"), 0o755);
    assert_eq!(found, (1, vec!["a".to_owned()], Vec::new()));
}

#[test]
fn too_large_positions_file_is_rejected() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("positions");
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let error = Positions::read(&path).unwrap_err();
    assert!(error.to_string().contains("larger than 64 MiB"), "{error}");
}

#[test]
fn rejected_option_combinations() {
    for path in ["-", "/nowhere/at/all"] {
        assert!(Tail::open(&[PathBuf::from(path)], Start::Beginning).is_err());
    }
}

/// What happens to the files and to the reader.
#[derive(Clone, Debug)]
enum Event {
    Write(u8),
    WriteInParts,
    Rotate,
    Restart,
    Read,
    Note,
    Die,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        4 => (1..5_u8).prop_map(Event::Write),
        1 => Just(Event::WriteInParts),
        1 => Just(Event::Rotate),
        1 => Just(Event::Restart),
        4 => Just(Event::Read),
        2 => Just(Event::Note),
        1 => Just(Event::Die),
    ];
    prop::collection::vec(event, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn ids_do_not_depend_on_the_read_order(events in events()) {
        let folder = TempDir::new().unwrap();
        let directory = folder.path().join(POD);
        let (mut start, mut second, mut rotated) = (0, 0, 0);
        let mut written = 0;
        let mut found = std::collections::BTreeMap::new();
        let mut noted = Positions::default();
        let mut tail = open(folder.path(), Start::Beginning);
        let read = |tail: &mut Tail, found: &mut std::collections::BTreeMap<String, String>| {
            tail.next_scan = Duration::ZERO;
            loop {
                let entries = tail.poll(Duration::ZERO);
                if entries.is_empty() {
                    return;
                }
                for entry in entries {
                    let id = entry.document.id().unwrap().to_owned();
                    found.insert(id, entry.document.text("message").unwrap_or_default().to_owned());
                }
            }
        };
        for event in events.into_iter().chain([Event::Read]) {
            let file = directory.join(format!("{start}.log"));
            match event {
                Event::Write(lines) => {
                    for _ in 0..lines {
                        (second, written) = (second + 1, written + 1);
                        append(&file, &cri(second, 'F', &format!("line {written}")));
                    }
                }
                Event::WriteInParts => {
                    written += 1;
                    append(&file, &cri(second + 1, 'P', "li"));
                    append(&file, &cri(second + 2, 'P', "ne "));
                    read(&mut tail, &mut found);
                    append(&file, &cri(second + 3, 'F', &written.to_string()));
                    second += 3;
                }
                Event::Rotate if file.exists() => {
                    rotated += 1;
                    fs::rename(&file, directory.join(format!("{start}.log.20261122-{rotated:06}"))).unwrap();
                }
                Event::Rotate => {}
                Event::Restart => start += 1,
                Event::Read => read(&mut tail, &mut found),
                // All delivered lines are stored by now.
                Event::Note => noted = tail.positions(),
                Event::Die => tail = open(folder.path(), Start::At(noted.clone())),
            }
        }
        let mut messages: Vec<_> = found.into_values().collect();
        messages.sort_by_key(|message| message[5..].parse::<u32>().unwrap());
        let wanted: Vec<_> = (1..=written).map(|number| format!("line {number}")).collect();
        prop_assert_eq!(messages, wanted);
    }
}
