//! The questions that every source answers alike, asked of the real
//! OpenSearch through the real program.

use std::process::{Command, Output};

use logq::opensearch::Method;
use serde_json::Value;

use crate::{store::Store, world};

fn logq(store: &Store, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_logq"))
        .args(arguments)
        .env("TZ", "UTC")
        .env("LOGQ_OPENSEARCH_URL", store.url())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn every_question_is_answered_as_from_files() {
    let Some(store) = Store::empty("logq's questions to OpenSearch").await else {
        return;
    };
    store.bootstrap().await;
    let folder = tempfile::tempdir().unwrap();
    let pods = world::write(folder.path());
    let pods = pods.to_str().unwrap();

    let first = logq(&store, &["import", pods]);
    assert_eq!(text(&first.stderr), "logq: 10 lines stored, 0 known before\n");
    let again = logq(&store, &["import", pods]);
    assert_eq!(text(&again.stderr), "logq: 0 lines stored, 10 known before\n");
    store.ask(Method::Post, "/logs-*/_refresh", None).await;

    for (arguments, found) in world::CASES {
        let arguments = [arguments, ["-o", "jsonl", "--utc"].as_slice()].concat();
        let output = logq(&store, &arguments);
        let errors = text(&output.stderr);
        let lines = text(&output.stdout);
        let words: Vec<String> = lines.lines().map(first_word).collect();
        assert_eq!(
            words,
            found.split_whitespace().collect::<Vec<_>>(),
            "{arguments:?}: {errors}"
        );
        let code = i32::from(found.is_empty());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
    }

    for (arguments, told) in [
        (["--tail", "3"].as_slice(), "logq: 3 of 10 lines shown\n"),
        (
            &["--tail", "2", "--grep", "."],
            "logq: 2 lines shown; how many there are was not counted\n",
        ),
        (&["--tail", "20"], ""),
        (&["--limit", "4"], "logq: 4 of 10 lines shown\n"),
        (&["--limit", "10"], ""),
        (&["--reverse", "--limit", "1"], "logq: 1 of 10 lines shown\n"),
    ] {
        assert_eq!(text(&logq(&store, arguments).stderr), told, "{arguments:?}");
    }

    let explained = logq(&store, &["-c", "irmgard", "--with-db", "-g", "x", "--explain"]);
    let explained = text(&explained.stdout);
    for part in ["component=postgres", "\"component\": \"irmgard\"", "tested here"] {
        assert!(explained.contains(part), "{part} is missing in {explained}");
    }

    let trace = logq(&store, &["trace", world::TRACE, "--utc"]);
    let trace = text(&trace.stdout);
    assert!(
        trace.starts_with(&format!("trace {}  from ", world::TRACE)),
        "{trace}"
    );
    assert_eq!(trace.lines().count(), 5, "{trace}");
}

fn first_word(line: &str) -> String {
    let document: Value = serde_json::from_str(line).unwrap();
    let message = document["message"].as_str().unwrap();
    message.split(' ').next().unwrap().to_owned()
}

/// More lines than a page holds, all of the same time.
#[tokio::test]
async fn lines_of_one_time_are_all_given_once_across_pages() {
    let Some(store) = Store::empty("pages of OpenSearch").await else {
        return;
    };
    store.bootstrap().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("many.log");
    let lines = (0..12_000).map(|n| format!("2026-11-22T10:00:00.000000000Z stdout F line {n:05}\n"));
    std::fs::write(&file, lines.collect::<String>()).unwrap();
    let imported = logq(&store, &["import", file.to_str().unwrap()]);
    assert_eq!(
        text(&imported.stderr),
        "logq: 12000 lines stored, 0 known before\n"
    );
    store.ask(Method::Post, "/logs-*/_refresh", None).await;

    let output = logq(&store, &["-o", "raw"]);
    let shown = text(&output.stdout);
    let mut shown: Vec<&str> = shown.lines().collect();
    shown.sort_unstable();
    let wanted: Vec<String> = (0..12_000).map(|n| format!("line {n:05}")).collect();
    assert!(shown == wanted, "{} lines", shown.len());
}

#[test]
fn a_store_that_is_away_is_told() {
    let output = Command::new(env!("CARGO_BIN_EXE_logq"))
        .args(["--source", "opensearch"])
        .env("LOGQ_OPENSEARCH_URL", "http://127.0.0.1:1")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = text(&output.stderr);
    assert!(
        told.starts_with("logq: error: OpenSearch at http://127.0.0.1:1/ cannot be reached"),
        "{told}"
    );
}
