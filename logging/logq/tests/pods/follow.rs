//! `logq --follow` with pods.

use std::{fs::OpenOptions, io::Write, path::Path};

use crate::{PodsFixture, api_server::ListFault, running::RunningLogq};

/// A running `logq --follow`, and the number of lines that the test expected so far.
struct Followed {
    logq: RunningLogq,
    lines: usize,
}

impl Followed {
    fn start(pods: &PodsFixture, arguments: &[&str]) -> Self {
        let logq = RunningLogq::start_with("http://127.0.0.1:1", arguments, |command| {
            command.env("LOGQ_SOURCE", "kubectl");
            pods.server.configure(command);
        });
        Self { logq, lines: 0 }
    }

    /// Waits for this number of lines.
    fn next_lines(&mut self, count: usize) -> Vec<String> {
        self.logq.wait_for_lines(self.lines + count);
        let lines = self.logq.lines()[self.lines..][..count].to_vec();
        self.lines += count;
        lines
    }

    /// Checks that the next lines are exactly these, in this order.
    fn expect_lines(&mut self, wanted: &[&str]) {
        assert_eq!(self.next_lines(wanted.len()), wanted);
    }

    /// Checks that the next lines are exactly these, in any order.
    fn expect_lines_unordered(&mut self, wanted: &[&str]) {
        let mut lines = self.next_lines(wanted.len());
        lines.sort();
        assert_eq!(lines, wanted);
    }

    /// Checks that logq ends without more lines.
    fn expect_end(&mut self) {
        assert_eq!(
            (self.logq.wait_for_exit(), self.logq.lines().len()),
            (0, self.lines)
        );
    }
}

fn append(file: &Path, lines: &str) {
    let mut file = OpenOptions::new().append(true).create(true).open(file).unwrap();
    file.write_all(lines.as_bytes()).unwrap();
}

#[test]
fn each_line_is_shown_once_across_restarts_and_deletions() {
    let pods = PodsFixture::empty();
    pods.add(
        "a",
        &["2026-11-22T10:00:00Z stdout F a1\n2026-11-22T10:00:02Z stdout F a2\n"],
    );
    pods.add("b", &["2026-11-22T10:00:01Z stdout F b1\n"]);
    pods.add("z", &[]);
    let place =
        |pod: &str, start: u32| pods.path(&format!("pods/photos_{pod}_uid-of-{pod}/main/{start}.log"));
    let mut logq = Followed::start(&pods, &["-o", "raw", "--limit", "12"]);
    logq.expect_lines(&["a1", "b1", "a2"]);

    // A new line, once with the same time as the last one.
    append(&place("a", 0), "2026-11-22T10:00:02Z stdout F a3\n");
    logq.expect_lines(&["a3"]);
    // A new pod, and one that has just started.
    pods.add("c", &["2026-11-22T10:00:03Z stdout F c1\n"]);
    append(&place("z", 0), "2026-11-22T10:00:03Z stdout F z1\n");
    logq.expect_lines_unordered(&["c1", "z1"]);
    // A container restarts: its last line is included.
    append(&place("b", 0), "2026-11-22T10:00:04Z stdout F b2\n");
    append(&place("b", 1), "2026-11-22T10:00:05Z stdout F b3\n");
    logq.expect_lines_unordered(&["b2", "b3"]);
    // A line of the trace waits for the lines before it.
    append(
        &place("a", 0),
        "2026-11-22T10:00:06Z stderr F panic: boom\n2026-11-22T10:00:06Z stderr F goroutine 1 [running]:\n",
    );
    logq.expect_lines(&["panic: boom", "goroutine 1 [running]:"]);
    // A deleted pod causes no error, and its name can be reused.
    append(&place("c", 0), "2026-11-22T10:00:07Z stdout F c2\n");
    logq.expect_lines(&["c2"]);
    std::fs::remove_file(place("c", 0)).unwrap();
    append(&place("c", 1), "2026-11-22T10:00:08Z stdout F c3\n");
    logq.expect_lines(&["c3"]);
    append(&place("z", 0), "2026-11-22T10:00:09Z stdout F z2\n");
    logq.expect_lines(&["z2"]);

    logq.expect_end();
    logq.logq
        .wait_for_message("photos/z, container main has not started");
    assert_eq!(logq.logq.stderr_lines().len(), 1);
    pods.server.wait_until_closed();
}

#[test]
fn backlog_comes_first_and_dependencies_are_followed() {
    let pods = PodsFixture::with_world();
    let mut logq = Followed::start(
        &pods,
        &[
            "-c",
            "irmgard",
            "--with-db",
            "--tail",
            "2",
            "--fields",
            "message",
            "-o",
            "jsonl",
        ],
    );
    logq.expect_lines(&[
        "{\"message\":\"d2 canceling statement due to timeout\"}",
        "{\"message\":\"i4 detail\"}",
    ]);
    let place = |component: &str| {
        walkdir::WalkDir::new(pods.path("pods"))
            .into_iter()
            .map(|entry| entry.unwrap().into_path())
            .find(|file| file.ends_with(format!("{component}/0.log")))
            .unwrap()
    };
    append(
        &place("rabbitmq"),
        "2026-11-22T10:00:20Z stdout F not asked for\n",
    );
    append(&place("postgres"), "2026-11-22T10:00:21Z stdout F new\n");
    logq.expect_lines(&["{\"message\":\"new\"}"]);
}

#[test]
fn errors_are_reported_and_retried() {
    let pods = PodsFixture::with_world();
    pods.fault("postgres-0", "forbidden");
    let logq = Followed::start(&pods, &["--tail", "1"]);
    logq.logq
        .wait_for_message("photos/postgres-0, container postgres: permission denied");
    let fault = ListFault::Status(500, "etcd is slow".to_owned());
    pods.server.set_list_fault(Some(fault));
    logq.logq.wait_for_message(
        "cannot list pods, so new pods are missing: the cluster answered 500: etcd is slow",
    );
    pods.server.set_list_fault(None);
    logq.logq.wait_for_message("listing pods works again");
}

#[test]
fn too_many_pods_are_rejected() {
    let pods = PodsFixture::empty();
    for pod in 0..51 {
        pods.add(&format!("pod-{pod}"), &["2026-11-22T10:00:00Z stdout F x\n"]);
    }
    let output = pods.logq(&["--follow"]).output().unwrap();
    let message = crate::text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(
        message.contains("51 containers match, but logq follows at most 50"),
        "{message}"
    );
    let mut command = pods.logq(&["--follow", "--source", "both"]);
    command.env("LOGQ_OPENSEARCH_URL", "http://127.0.0.1:1");
    let output = command.output().unwrap();
    let message = crate::text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("--follow needs a single source"), "{message}");
}

#[test]
fn name_without_pods_is_reported() {
    let pods = PodsFixture::with_world();
    let logq = Followed::start(&pods, &["-c", "irmgard", "-c", "postgrs", "-o", "raw"]);
    logq.logq
        .wait_for_message("no pod of component postgrs; did you mean postgres?");
}

#[test]
fn context_of_old_and_new_matches_is_shown() {
    let pods = PodsFixture::empty();
    let lines = |begin: u32, words: &str| -> String {
        let line = |(n, word)| format!("2026-11-22T10:00:{:02}Z stdout F {word}\n", begin + n);
        (0..).zip(words.split(' ')).map(line).collect()
    };
    pods.add("a", &[&lines(0, "hit-0 a b hit-1 c d e hit-2 f g")]);
    let arguments = ["-g", "hit", "--tail", "2", "-C", "1", "--limit", "3", "-o", "raw"];
    let mut logq = Followed::start(&pods, &arguments);
    logq.expect_lines(&["b", "hit-1", "c", "--", "e", "hit-2", "f"]);
    let log = pods.path("pods/photos_a_uid-of-a/main/0.log");
    append(&log, &lines(20, "x hit-3 y z"));
    logq.expect_lines(&["--", "x", "hit-3", "y"]);
    logq.expect_end();
}
