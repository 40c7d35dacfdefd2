//! How following ends.

use std::{
    io::{BufRead, BufReader},
    os::fd::AsFd,
    process::Command,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::json;

use test_support::eventually;

use super::plain;
use crate::{log_store::LogStore, running::RunningLogq};

#[tokio::test]
async fn closed_output_ends_following_without_new_lines() {
    let Some(store) = LogStore::with_streams("a closed pipe").await else {
        return;
    };
    let (mut logq, out) = RunningLogq::without_reader(store.url(), &["-o", "jsonl"]);
    let mut out = BufReader::new(out);
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.contains("begin"), "{line}");
    drop(out);
    assert_eq!(logq.wait_for_exit(), 0);
    assert_eq!(logq.stderr_lines(), Vec::<String>::new());
}

#[tokio::test]
async fn interrupt_ends_following_with_a_blocked_reader() {
    let Some(store) = LogStore::with_streams("a blocked reader").await else {
        return;
    };
    let long = "x".repeat(10_000);
    let lines: Vec<_> = (0..100)
        .map(|n| super::line(&format!("l{n}"), "irmgard", 1.0, json!({ "n": long })))
        .collect();
    store.store_lines(&lines).await;
    let (mut logq, out) = RunningLogq::without_reader(store.url(), &["-o", "jsonl", "--tail", "100"]);
    let mut output = [PollFd::new(out.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut output, PollTimeout::from(30_000_u16)).unwrap(), 1);
    // After the first line, the pipe is full within milliseconds. Then the output blocks.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (_, took) = logq.interrupt();
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test]
async fn exit_status_is_1_without_a_line() {
    let Some(store) = LogStore::with_streams("an exit without lines").await else {
        return;
    };
    let mut logq = RunningLogq::start(store.url(), &["-c", "nothing", "-o", "json"]);
    eventually("logq handles signals", async || logq.handles_interrupt()).await;
    let (code, took) = logq.interrupt();
    assert_eq!((code, logq.lines().join("\n")), (1, "[]".to_owned()));
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn buffered_lines_are_shown_at_the_end() {
    let Some(store) = LogStore::with_streams("an exit with buffered lines").await else {
        return;
    };
    let mut logq = RunningLogq::start(store.url(), &["-o", "jsonl", "--order-window", "1m"]);
    store.store_lines(&[plain("a", 1.0)]).await;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(3) {
        assert_eq!(logq.lines(), Vec::<String>::new());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(logq.interrupt().0, 0);
    assert_eq!(logq.messages(), ["begin", "a"]);
}

#[test]
fn incompatible_options_are_rejected() {
    for (arguments, word) in [
        (["-F", "--reverse"].as_slice(), "'--reverse'"),
        (&["-F", "--stats"], "'--stats'"),
        (&["-F", "--histogram"], "'--histogram'"),
        (&["-F", "--top", "level"], "'--top <FIELD>'"),
        (&["-F", "--until", "now"], "'--until <TIME>'"),
        (&["-F", "--around", "now"], "'--around <TIME>'"),
        (&["-F", "--order-window", "1h"], "at most one minute"),
        (&["trace", "4bf92f35", "-F"], "logq -F --trace ID"),
        (&["--limit", "1", "--tail", "1"], "only with --follow"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_logq"))
            .args(arguments)
            .output()
            .unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(word), "{arguments:?}: {errors}");
    }
}
