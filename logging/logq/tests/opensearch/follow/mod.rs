//! `logq --follow` with a real OpenSearch.

mod context;
mod exit;
mod options;
mod outage;
mod restart;

use std::time::Duration;

use logq::opensearch::Method;
use serde_json::{Value, json};

use crate::{log_store::LogStore, running::RunningLogq};

/// A line with its id as message; `second` is relative to 10:00.
pub fn line(id: &str, component: &str, second: f64, more: Value) -> (String, String, String) {
    let mut document = json!({
        "@timestamp": format!("2026-11-22T10:{:02}:{:012.9}Z", second as u32 / 60, second % 60.0),
        "level": "info",
        "component": component,
        "message": id,
        "event": { "id": id },
    });
    if let (Some(members), Value::Object(more)) = (document.as_object_mut(), more) {
        members.extend(more);
    }
    let stream = format!("logs-{}", schema::stream::of(component));
    (stream, id.to_owned(), document.to_string())
}

/// A simple line of irmgard.
pub fn plain(id: &str, second: f64) -> (String, String, String) {
    line(id, "irmgard", second, json!({}))
}

impl LogStore {
    /// Stores lines and makes them searchable.
    pub async fn store_lines(&self, lines: &[(String, String, String)]) {
        for (status, error) in self.create(lines).await {
            assert_eq!(status, 201, "{error}");
        }
    }

    /// Deletes the streams with all lines.
    async fn delete_streams(&self) {
        self.ask(Method::Delete, "/_data_stream/logs-*", None).await;
    }

    /// A store with the streams and one line.
    pub async fn with_streams(what: &str) -> Option<Self> {
        let store = Self::empty(what).await?;
        store.bootstrap().await;
        store.store_lines(&[plain("begin", 0.0)]).await;
        Some(store)
    }
}

/// Starts to follow, and waits until logq polls for new lines.
fn follow(url: &str, arguments: &[&str]) -> RunningLogq {
    let form: &[&str] = if arguments.contains(&"-o") {
        &[]
    } else {
        &["-o", "jsonl"]
    };
    let running = RunningLogq::start(url, &[form, &["--utc"], arguments].concat());
    running.wait_for("begin");
    running
}

/// A short order window, for tests in which the order does not matter.
const SHORT: [&str; 2] = ["--order-window", "100ms"];

#[tokio::test]
async fn new_lines_are_shown_once_and_in_order() {
    let Some(store) = LogStore::with_streams("new lines").await else {
        return;
    };
    let mut logq = follow(store.url(), &[]);
    // Two streams that become searchable one after the other, not in time order.
    store
        .store_lines(&[plain("c", 3.0), plain("e", 5.0), plain("d", 4.0)])
        .await;
    let mut documents = vec![line("b", "postgres", 2.0, json!({}))];
    documents.push(line("f", "postgres", 5.0, json!({})));
    store.store_lines(&documents).await;
    logq.wait_for("\"f\"");
    // Delayed lines, and a clock that goes back.
    store.store_lines(&[plain("a", 1.0)]).await;
    logq.wait_for("\"a\"");
    store.store_lines(&[plain("z", 9.0)]).await;
    logq.wait_for("\"z\"");
    assert_eq!(logq.messages(), ["begin", "b", "c", "d", "e", "f", "a", "z"]);
    let (code, _) = logq.interrupt();
    assert_eq!((code, logq.stderr_lines()), (0, Vec::new()));
}

/// More than a page of ids and of lines, all with the same time.
#[tokio::test]
async fn burst_is_shown_completely_and_once() {
    const BURST: usize = 25_000;
    let Some(store) = LogStore::with_streams("a burst").await else {
        return;
    };
    let logq = follow(store.url(), &[&["-o", "raw"], SHORT.as_slice()].concat());
    let body: String = (0..BURST)
        .map(|n| {
            let (stream, id, document) = plain(&format!("line-{n:05}"), 5.0);
            let action = json!({ "create": { "_index": stream, "_id": id } });
            format!("{action}\n{document}\n")
        })
        .collect();
    // Without an explicit refresh: lines appear when OpenSearch makes them searchable.
    store
        .client
        .send_lines("take a burst", "/_bulk", &[], body.into_bytes())
        .await
        .unwrap();
    logq.wait_for_lines(BURST + 1);
    // A duplicate would have appeared by now.
    store.store_lines(&[plain("end", 6.0)]).await;
    logq.wait_for("end");
    let mut shown = logq.lines();
    shown.sort_unstable();
    let mut wanted: Vec<String> = (0..BURST).map(|n| format!("line-{n:05}")).collect();
    wanted.extend(["begin".to_owned(), "end".to_owned()]);
    wanted.sort_unstable();
    assert!(shown == wanted, "{} lines of {}", shown.len(), wanted.len());
}

#[tokio::test]
async fn rollover_loses_and_duplicates_no_line() {
    let Some(store) = LogStore::with_streams("a rollover while following").await else {
        return;
    };
    let mut logq = follow(store.url(), &SHORT);
    store.store_lines(&[plain("a", 1.0)]).await;
    store.ask(Method::Post, "/logs-irmgard/_rollover", None).await;
    // A shipper retries after a lost response, so the line is stored twice.
    store.store_lines(&[plain("a", 1.0), plain("b", 2.0)]).await;
    logq.wait_for("\"b\"");
    store.store_lines(&[plain("c", 3.0)]).await;
    logq.wait_for("\"c\"");
    assert_eq!(logq.messages(), ["begin", "a", "b", "c"]);
    assert_eq!(logq.interrupt().0, 0);
    assert_eq!(logq.stderr_lines(), Vec::<String>::new());
}

/// A stream whose lines become searchable late, as on a slow node.
#[tokio::test]
async fn late_line_is_not_missed() {
    let Some(store) = LogStore::with_streams("lines that become searchable late").await else {
        return;
    };
    let logq = follow(store.url(), &SHORT);
    let change_settings = async |refresh_interval: &str, final_pipeline: &str| {
        let settings = json!({ "refresh_interval": refresh_interval, "final_pipeline": final_pipeline });
        let body = json!({ "index": settings });
        store
            .ask(Method::Put, "/logs-postgres/_settings", Some(&body))
            .await;
    };
    change_settings("-1", "_none").await;
    // Stored before the range of a usual round, without the pipeline that would set the time.
    let ingested = (chrono::Utc::now() - Duration::from_secs(15)).to_rfc3339();
    let event = json!({ "event": { "id": "late", "ingested": ingested } });
    let (stream, id, document) = line("late", "postgres", 1.0, event);
    let body: Value = serde_json::from_str(&document).unwrap();
    store
        .ask(Method::Put, &format!("/{stream}/_create/{id}"), Some(&body))
        .await;
    // Stored later, shown earlier.
    store.store_lines(&[plain("early", 2.0)]).await;
    logq.wait_for("early");
    assert_eq!(logq.messages(), ["begin", "early"]);
    store.ask(Method::Post, "/logs-postgres/_refresh", None).await;
    logq.wait_for("late");
    change_settings("1s", "irmgard-logs").await;
}

/// Measures the delay from OpenSearch to the terminal, and the number of requests.
#[tokio::test]
async fn line_is_shown_soon_with_few_requests() {
    let Some(store) = LogStore::with_streams("the delay of a line").await else {
        return;
    };
    let logq = follow(store.url(), &["--order-window", "0"]);
    let mut took = Vec::new();
    for n in 0..5 {
        let (stream, id, document) = plain(&format!("line-{n}"), 1.0 + f64::from(n));
        let body: Value = serde_json::from_str(&document).unwrap();
        let sent = std::time::Instant::now();
        store
            .ask(Method::Put, &format!("/{stream}/_create/{id}"), Some(&body))
            .await;
        took.push(logq.time_of(&id).duration_since(sent));
    }
    took.sort_unstable();
    assert!(took[2] < Duration::from_secs(4), "{took:?}");
    println!("from OpenSearch to the terminal without an order window: {took:?}");
}
