//! Traces and dependencies that logq resolves while following.

use std::time::Duration;

use logq::opensearch::Method;
use serde_json::json;

use super::{SHORT, line, plain};
use crate::{log_store::LogStore, running::RunningLogq};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const OTHER: &str = "4bf92f3577b34da6a3ce929d0e0e4737";

fn photo(id: i64, trace: &str) -> serde_json::Value {
    json!({ "photo": { "id": id }, "trace_id": trace })
}

fn of(trace: &str) -> serde_json::Value {
    json!({ "trace_id": trace })
}

#[tokio::test]
async fn later_trace_of_the_photo_is_shown_from_its_start() {
    let Some(store) = LogStore::empty("a trace that becomes known late").await else {
        return;
    };
    of_a_photo(&store, &[]).await;
    // OpenSearch cannot test this, so logq tests each line.
    store.delete_streams().await;
    of_a_photo(&store, &["-g", "."]).await;
}

async fn of_a_photo(store: &LogStore, more: &[&str]) {
    store.bootstrap().await;
    store
        .store_lines(&[line("begin", "irmgard", 0.0, json!({ "photo": { "id": 17 } }))])
        .await;
    let arguments = [["--photo", "17", "-o", "jsonl"].as_slice(), &SHORT, more].concat();
    let mut logq = RunningLogq::start(store.url(), &arguments);
    logq.wait_for("begin");

    // The database's lines arrive well before a line names the photo.
    store
        .store_lines(&[
            line("db-insert", "postgres", 1.0, of(TRACE)),
            line("db-other", "postgres", 1.5, of(OTHER)),
            line("request", "irmgard", 1.2, of(TRACE)),
        ])
        .await;
    wait_for_rounds(store).await;
    assert_eq!(logq.messages(), ["begin"]);

    store
        .store_lines(&[
            line("stored", "irmgard", 2.0, photo(17, TRACE)),
            line("stored-other", "irmgard", 2.1, photo(18, OTHER)),
            line("worker", "anonymizer", 3.0, of(TRACE)),
        ])
        .await;
    logq.wait_for("worker");
    logq.wait_for("db-insert");
    store
        .store_lines(&[line("db-end", "postgres", 4.0, of(TRACE))])
        .await;
    logq.wait_for("db-end");
    let mut shown = logq.messages();
    assert_eq!(shown.last().map(String::as_str), Some("db-end"));
    shown.sort_unstable();
    assert_eq!(
        shown,
        ["begin", "db-end", "db-insert", "request", "stored", "worker"]
    );
    assert_eq!(logq.interrupt().0, 0);
}

#[tokio::test]
async fn dependency_is_resolved_from_a_new_line() {
    let Some(store) = LogStore::empty("a dependency label that arrives late").await else {
        return;
    };
    store.bootstrap().await;
    // An old line: not shown, even after the dependency is resolved.
    store
        .store_lines(&[line("db-old", "postgres", 0.0, json!({}))])
        .await;
    let arguments = ["-c", "irmgard", "--with-db", "--level", "warn", "-o", "jsonl"];
    let logq = RunningLogq::start(store.url(), &[arguments.as_slice(), &SHORT].concat());
    logq.wait_for_message("the dependencies of these components are unknown");
    wait_for_rounds(&store).await;

    let warn = json!({ "level": "warn" });
    let labels = json!({ "kubernetes": { "labels": { "irmgard_dev/uses-database": "postgres" } } });
    store
        .store_lines(&[line("db-1", "postgres", 1.0, warn.clone())])
        .await;
    wait_for_rounds(&store).await;
    // This line does not match itself.
    store.store_lines(&[line("named", "irmgard", 2.0, labels)]).await;
    logq.wait_for("db-1");
    store
        .store_lines(&[
            line("db-2", "postgres", 3.0, warn.clone()),
            line("own", "irmgard", 4.0, warn),
        ])
        .await;
    logq.wait_for("own");
    assert_eq!(logq.messages(), ["db-1", "db-2", "own"]);
}

#[tokio::test]
async fn following_waits_for_the_first_stream() {
    let Some(store) = LogStore::empty("an OpenSearch without streams").await else {
        return;
    };
    let logq = RunningLogq::start(store.url(), &[["-o", "jsonl"].as_slice(), &SHORT].concat());
    wait_for_rounds(&store).await;
    store.bootstrap().await;
    store.store_lines(&[plain("first", 1.0)]).await;
    logq.wait_for("first");
    store.store_lines(&[plain("second", 2.0)]).await;
    logq.wait_for("second");
    assert_eq!(logq.messages(), ["first", "second"]);
}

/// Waits for several polling rounds: logq gives no signal of a round.
async fn wait_for_rounds(store: &LogStore) {
    store.ask(Method::Post, "/logs-*/_refresh", None).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
}
