//! `logq --follow` with files and a pipe.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails with a panic")]

#[path = "support/running.rs"]
mod running;
#[expect(dead_code, reason = "other tests use its cases")]
#[path = "support/world.rs"]
mod world;

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use serde_json::json;

use running::RunningLogq;

const UNREACHABLE: &str = "http://127.0.0.1:1";

/// The path of a container's log file.
fn log(pods: &Path, pod: &str) -> PathBuf {
    let folder = fs::read_dir(pods)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().contains(pod))
        .unwrap();
    let container = fs::read_dir(folder).unwrap().next().unwrap().unwrap();
    container.path().join("0.log")
}

/// Appends a line to a log file in the kubelet's format.
fn write(file: &Path, second: u32, content: &str) {
    let line = format!("2026-11-22T10:01:{second:02}.500000000Z stdout F {content}\n");
    let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
    file.write_all(line.as_bytes()).unwrap();
}

fn ours(second: u32, message: &str, more: serde_json::Value) -> String {
    let mut line = json!({
        "@timestamp": format!("2026-11-22T10:01:{second:02}.000000Z"), "level": "info",
        "message": message, "component": "irmgard",
    });
    line.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    line.to_string()
}

fn postgres(second: u32, message: &str, trace: &str) -> String {
    json!({
        "timestamp": format!("2026-11-22 10:01:{second:02}.000 UTC"), "error_severity": "LOG",
        "message": message, "application_name": format!("irmgard {trace}"), "pid": 7,
    })
    .to_string()
}

fn first_words(logq: &RunningLogq) -> String {
    let messages = logq.messages();
    let words = messages.iter().filter_map(|message| message.split(' ').next());
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn pod_lines_are_followed() {
    let folder = tempfile::tempdir().unwrap();
    let pods = world::write(folder.path());
    let path = pods.to_str().unwrap();
    let arguments = [
        path,
        "-c",
        "irmgard",
        "--with-db",
        "--tail",
        "2",
        "-o",
        "jsonl",
        "--order-window",
        "500ms",
    ];
    let mut logq = RunningLogq::start(UNREACHABLE, &arguments);
    logq.wait_for("i4");
    let (web, database) = (log(&pods, "irmgard-a"), log(&pods, "postgres-0"));
    // In reverse time order, within the order window.
    write(&web, 2, &ours(2, "f2", json!({})));
    write(&database, 1, &postgres(1, "f1", "x"));
    write(&log(&pods, "anonymizer-a"), 1, "not wanted");
    logq.wait_for("\"f2\"");
    // A rotation, as by the kubelet.
    fs::rename(&web, web.with_file_name("0.log.20261122-100103")).unwrap();
    write(&web, 3, &ours(3, "f3", json!({})));
    logq.wait_for("\"f3\"");
    assert_eq!(first_words(&logq), "d2 i4 f1 f2 f3");
    assert_eq!(logq.interrupt().0, 0);
    assert_eq!(logq.stderr_lines(), Vec::<String>::new());
}

#[test]
fn trace_of_a_photo_is_resolved_while_following() {
    let folder = tempfile::tempdir().unwrap();
    let pods = world::write(folder.path());
    let arguments = [
        "--photo",
        "19",
        pods.to_str().unwrap(),
        "-o",
        "jsonl",
        "--order-window",
        "0",
    ];
    let logq = RunningLogq::start(UNREACHABLE, &arguments);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4799";
    let (web, database) = (log(&pods, "irmgard-a"), log(&pods, "postgres-0"));
    write(&web, 0, &ours(0, "p0", json!({ "photo": { "id": 19 } })));
    logq.wait_for("p0");
    write(&database, 1, &postgres(1, "p1", trace));
    write(
        &database,
        1,
        &postgres(1, "other", "4bf92f3577b34da6a3ce929d0e0e4798"),
    );
    // Wait until the order window has passed.
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(first_words(&logq), "p0");
    write(
        &web,
        2,
        &ours(2, "p2", json!({ "photo": { "id": 19 }, "trace_id": trace })),
    );
    logq.wait_for("p2");
    logq.wait_for("p1");
    write(&database, 3, &postgres(3, "p3", trace));
    logq.wait_for("p3");
    assert_eq!(first_words(&logq), "p0 p1 p2 p3");
}

#[test]
fn pipe_is_followed_to_its_end() {
    let (mut logq, mut input) = RunningLogq::piped(&["-", "-o", "jsonl", "--order-window", "100ms"]);
    for (second, message) in [(1, "a"), (2, "b")] {
        writeln!(input, "{}", ours(second, message, json!({}))).unwrap();
        logq.wait_for(&format!("\"{message}\""));
    }
    writeln!(input, "{}", ours(3, "c", json!({}))).unwrap();
    drop(input);
    assert_eq!(logq.wait_for_exit(), 0);
    assert_eq!(first_words(&logq), "a b c");

    // Also without --follow.
    let (mut logq, mut input) = RunningLogq::with_pipe(&["-", "-o", "jsonl"]);
    writeln!(input, "{}", ours(1, "a", json!({}))).unwrap();
    logq.wait_for("\"a\"");
    drop(input);
    assert_eq!(logq.wait_for_exit(), 0);

    let (mut logq, input) = RunningLogq::piped(&["-"]);
    drop(input);
    assert_eq!(logq.wait_for_exit(), 1);
}

#[test]
fn missing_file_cannot_be_followed() {
    let mut logq = RunningLogq::start(UNREACHABLE, &["/nowhere/pods"]);
    assert_eq!(logq.wait_for_exit(), 2);
    assert!(
        logq.stderr_lines()[0].contains("/nowhere/pods"),
        "{:?}",
        logq.stderr_lines()
    );
}

#[test]
fn name_without_lines_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let pods = world::write(folder.path());
    let path = pods.to_str().unwrap();
    let mut logq = RunningLogq::start(
        UNREACHABLE,
        &[path, "-c", "irmgard", "-c", "postgrs", "-o", "jsonl"],
    );
    logq.wait_for_message("no lines of component postgrs so far; did you mean postgres?");
    logq.wait_for("i4 detail");
    write(&log(&pods, "irmgard-a"), 1, &ours(1, "i5 later", json!({})));
    logq.wait_for("i5 later");
    assert_eq!(logq.interrupt().0, 0);
    assert_eq!(logq.stderr_lines().len(), 1, "{:?}", logq.stderr_lines());
}

#[test]
fn context_of_old_and_new_matches_is_shown() {
    for (options, shown) in [
        ("--tail 1 -C 1 --limit 2", "s1 a2 i4 x1 new y1"),
        ("--tail 2 -B 1 --limit 3", "i3 d2 s1 a2 -- x1 new"),
        ("--tail 2 -A 1 --limit 3", "d2 s1 a2 i4 -- new y1"),
        ("--tail 3 -C 1 --limit 4", "q1 i1 d1 -- i3 d2 s1 a2 i4 x1 new y1"),
        // The line before the last match is not one of the two.
        ("--tail 1 -B 4 --limit 2", "a1 i3 d2 s1 a2 i4 x1 new"),
        ("--since all -A 1 --limit 4", "i1 d1 -- d2 s1 a2 i4 -- new y1"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let pods = world::write(folder.path());
        let options = options.split(' ');
        let more = ["-g", "^(i1|d2|a2|new)", "--utc", "--order-window", "100ms"];
        let arguments: Vec<&str> = options.chain(more).chain([pods.to_str().unwrap()]).collect();
        let mut logq = RunningLogq::start(UNREACHABLE, &arguments);
        logq.wait_for("a2 photo failed");
        let web = log(&pods, "irmgard-a");
        for (second, message) in [(1, "x1"), (2, "new"), (3, "y1"), (4, "y2")] {
            write(&web, second, &ours(second, message, json!({})));
        }
        assert_eq!(
            logq.wait_for_exit(),
            0,
            "{arguments:?}: {:?}",
            logq.stderr_lines()
        );
        let lines = logq.lines();
        let word = |line: &String| line.split_whitespace().nth(4).unwrap_or(line).to_owned();
        assert_eq!(
            lines.iter().map(word).collect::<Vec<_>>().join(" "),
            shown,
            "{arguments:?}"
        );
    }
}
