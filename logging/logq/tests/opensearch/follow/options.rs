//! Other options together with `--follow`.

use serde_json::json;

use super::{SHORT, follow, line, plain};
use crate::{
    log_store::LogStore,
    running::{RunningLogq, messages},
};

/// The messages up to the line `last`.
fn shown(store: &LogStore, arguments: &[&str], last: &str) -> String {
    let arguments = [["-o", "jsonl", "--utc"].as_slice(), &SHORT, arguments].concat();
    let mut logq = RunningLogq::start(store.url(), &arguments);
    logq.wait_for(&format!("\"{last}\""));
    assert_eq!(logq.interrupt().0, 0);
    logq.messages().join(" ")
}

#[tokio::test]
async fn backlog_is_selected_like_a_search() {
    let Some(store) = LogStore::empty("the backlog").await else {
        return;
    };
    store.bootstrap().await;
    let lines: Vec<_> = (1..=15).map(|n| plain(&format!("l{n}"), f64::from(n))).collect();
    store.store_lines(&lines).await;
    assert_eq!(shown(&store, &[], "l15"), "l6 l7 l8 l9 l10 l11 l12 l13 l14 l15");
    assert_eq!(shown(&store, &["--tail", "2"], "l15"), "l14 l15");
    assert_eq!(
        shown(&store, &["--since", "2026-11-22T10:00:13Z"], "l15"),
        "l13 l14 l15"
    );
    assert_eq!(
        shown(&store, &["--since", "2026-11-22T10:00:05Z", "--tail", "1"], "l15"),
        "l15"
    );
    assert_eq!(
        shown(&store, &["--tail", "1", "-C", "2", "-g", "l1[0-3]"], "l15"),
        "l11 l12 l13 l14 l15"
    );

    // No old line appears, even a recent one.
    let logq = RunningLogq::start(store.url(), &["--tail", "0", "-o", "jsonl", "--limit", "1"]);
    let mut logq = logq;
    let mut n = 0;
    // Lines count as old until logq starts to poll.
    while logq.lines().is_empty() {
        n += 1;
        store.store_lines(&[plain(&format!("new{n}"), 20.0)]).await;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert_eq!(logq.wait_for_exit(), 0);
    assert!(
        messages(&logq.lines())[0].starts_with("new"),
        "{:?}",
        logq.lines()
    );
}

#[tokio::test]
async fn new_lines_are_selected_like_a_search() {
    let Some(store) = LogStore::with_streams("selection of new lines").await else {
        return;
    };
    let select = ["-c", "irmgard", "--level", "info", "-g", "begin|yes", "-v", "not"];
    let more = ["-f", "n not exists", "--limit", "4", "-o", "logfmt"];
    let mut logq = RunningLogq::start(store.url(), &[&select, SHORT.as_slice(), &more].concat());
    logq.wait_for("begin");
    store
        .store_lines(&[
            plain("yes-1", 1.0),
            plain("no", 2.0),
            plain("yes-but-not", 3.0),
            line("yes-elsewhere", "anonymizer", 4.0, json!({})),
            line("yes-debug", "irmgard", 5.0, json!({ "level": "debug" })),
            line("yes-field", "irmgard", 6.0, json!({ "n": 1 })),
            plain("yes-2", 7.0),
        ])
        .await;
    logq.wait_for("yes-2");
    store
        .store_lines(&[plain("yes-3", 8.0), plain("yes-4", 9.0)])
        .await;
    // --limit ends following.
    assert_eq!(logq.wait_for_exit(), 0);
    let lines = logq.lines();
    let words: Vec<&str> = ["begin", "yes-1", "yes-2", "yes-3"]
        .into_iter()
        .zip(&lines)
        .filter(|(word, line)| line.contains(word))
        .map(|(word, _)| word)
        .collect();
    assert_eq!((words.len(), lines.len()), (4, 4), "{lines:?}");
}

#[tokio::test]
async fn context_lines_are_shown_on_arrival() {
    let Some(store) = LogStore::with_streams("context of new lines").await else {
        return;
    };
    let logq = follow(
        store.url(),
        &[["-g", "begin|hit", "-B", "1", "-A", "1"].as_slice(), &SHORT].concat(),
    );
    let lines: Vec<_> = ["a", "b", "hit-1", "c", "d", "e", "hit-2"]
        .iter()
        .enumerate()
        .map(|(n, id)| plain(id, 1.0 + n as f64))
        .collect();
    store.store_lines(&lines).await;
    logq.wait_for("hit-2");
    store.store_lines(&[plain("f", 20.0), plain("g", 21.0)]).await;
    logq.wait_for("\"f\"");
    assert_eq!(
        logq.messages(),
        ["begin", "a", "b", "hit-1", "c", "e", "hit-2", "f"]
    );
}

#[tokio::test]
async fn context_of_old_and_new_matches_is_shown() {
    let Some(store) = LogStore::empty("context of old and new lines").await else {
        return;
    };
    store.bootstrap().await;
    let lines = |begin: f64, words: &str| -> Vec<_> {
        let line = |(n, word)| plain(word, begin + f64::from(n));
        (0..).zip(words.split(' ')).map(line).collect()
    };
    store
        .store_lines(&lines(0.0, "hit-0 a b hit-1 c d e hit-2 f g"))
        .await;
    let arguments = ["-g", "hit", "--tail", "2", "-C", "1", "--limit", "3", "-o", "raw"];
    let mut logq = RunningLogq::start(store.url(), &[arguments.as_slice(), &SHORT].concat());
    logq.wait_for("f");
    store.store_lines(&lines(20.0, "x hit-3 y z")).await;
    assert_eq!(logq.wait_for_exit(), 0);
    assert_eq!(logq.lines().join(" "), "b hit-1 c -- e hit-2 f -- x hit-3 y");
}

#[tokio::test]
async fn every_format_is_complete_at_the_end() {
    let Some(store) = LogStore::with_streams("output formats while following").await else {
        return;
    };
    for form in ["pretty", "jsonl", "json", "logfmt", "raw"] {
        let mut logq = RunningLogq::start(store.url(), &["-o", form, "--order-window", "0", "--utc"]);
        // An array element is complete with the next element or the end of the array.
        logq.wait_for(if form == "json" { "[" } else { "begin" });
        assert_eq!(logq.interrupt().0, 0, "{form}");
        let text = logq.lines().join("\n");
        match form {
            "pretty" => assert!(text.contains("INFO  irmgard"), "{text}"),
            "json" => {
                let all: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
                assert_eq!(all.len(), 1);
            }
            "jsonl" => assert_eq!(logq.messages(), ["begin"]),
            "logfmt" => assert!(text.contains("message=begin"), "{text}"),
            _ => assert_eq!(text, "begin"),
        }
    }
}

#[tokio::test]
async fn name_without_lines_is_reported_once() {
    let Some(store) = LogStore::with_streams("a name without lines").await else {
        return;
    };
    let arguments = ["-c", "irmgard", "-c", "typo", "-o", "jsonl"];
    let mut logq = RunningLogq::start(store.url(), &arguments);
    logq.wait_for_message("no lines of component typo so far; names in the lines: irmgard");
    store.store_lines(&[plain("a", 1.0)]).await;
    logq.wait_for("\"a\"");
    assert_eq!(logq.interrupt().0, 0);
    assert_eq!(logq.messages(), ["begin", "a"]);
    assert_eq!(logq.stderr_lines().len(), 1, "{:?}", logq.stderr_lines());
}
