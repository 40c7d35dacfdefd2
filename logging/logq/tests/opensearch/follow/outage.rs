//! Outages of OpenSearch or the network.

use std::time::Duration;

use logq::opensearch::Method;
use nix::sys::signal::Signal;

use test_support::{Behaviour, FaultProxy, eventually};

use super::{SHORT, follow, plain};
use crate::log_store::LogStore;

/// Closes all connections. New ones get this response.
fn respond(network: &FaultProxy, status: u16, body: &str) {
    network.respond_to("", status, body);
    network.cut();
}

/// Waits until logq has tried to connect this often from now on.
async fn wait_for_attempts(network: &FaultProxy, attempts: u64) {
    let before = network.accepted();
    eventually("logq connects", async || network.accepted() >= before + attempts).await;
}

#[tokio::test]
async fn lines_of_an_outage_are_shown_once_and_it_is_reported() {
    let Some(store) = LogStore::with_streams("an outage while following").await else {
        return;
    };
    let network = FaultProxy::start(store.url()).unwrap();
    let mut logq = follow(&network.url(), &SHORT);
    let mut wanted = vec!["begin".to_owned()];
    for outage in 1..=3 {
        let before = format!("before-{outage}");
        store.store_lines(&[plain(&before, f64::from(outage))]).await;
        logq.wait_for(&before);
        match outage {
            1 => network.behave(Behaviour::Refuse).await,
            2 => respond(
                &network,
                503,
                r#"{"error":{"type":"x","reason":"not yet"},"status":503}"#,
            ),
            _ => respond(
                &network,
                200,
                r#"{"hits":{"hits":[]},"_shards":{"total":2,"successful":1,"failed":1,"failures":[]}}"#,
            ),
        }
        let during = format!("during-{outage}");
        store
            .store_lines(&[plain(&during, f64::from(outage) + 0.5)])
            .await;
        match outage {
            1 => logq.wait_for_message("the connection was refused"),
            _ => wait_for_attempts(&network, 3).await,
        }
        network.restore().await;
        logq.wait_for(&during);
        wanted.extend([before, during]);
    }
    assert_eq!(logq.messages(), wanted);
    let (code, _) = logq.interrupt();
    assert_eq!(code, 0);
    let stderr = logq.stderr_lines();
    let words = [
        "the connection was refused",
        "answers again after",
        "(503): not yet",
        "answers again after",
        "1 of 2 shards",
        "answers again after",
    ];
    assert_eq!(stderr.len(), words.len(), "{stderr:#?}");
    for (stderr, word) in stderr.iter().zip(words) {
        assert!(stderr.contains(word), "{word}: {stderr}");
    }
}

/// Connections break repeatedly in the middle of a response.
#[tokio::test]
async fn broken_connections_lose_no_line() {
    const LINES: usize = 3_000;
    let Some(store) = LogStore::with_streams("broken connections").await else {
        return;
    };
    let network = FaultProxy::start(store.url()).unwrap();
    let mut logq = follow(&network.url(), &[["-o", "raw"].as_slice(), &SHORT].concat());
    for hundred in 0..LINES / 100 {
        let lines: Vec<_> = (0..100)
            .map(|n| plain(&format!("line-{:04}", hundred * 100 + n), hundred as f64))
            .collect();
        store.store_lines(&lines).await;
        network.cut();
    }
    logq.wait_for_lines(LINES + 1);
    store.store_lines(&[plain("end", 3_000.0)]).await;
    logq.wait_for("end");
    let mut shown = logq.lines();
    shown.sort_unstable();
    shown.dedup();
    assert_eq!((shown.len(), logq.lines().len()), (LINES + 2, LINES + 2));
    assert_eq!(logq.interrupt().0, 0);
}

#[tokio::test]
async fn permanent_errors_end_following() {
    let Some(store) = LogStore::with_streams("permanent errors while following").await else {
        return;
    };
    for (status, word) in [
        (401, "rejected the credentials (401)"),
        (403, "(403)"),
        (400, "rejected the request to"),
    ] {
        let network = FaultProxy::start(store.url()).unwrap();
        let mut logq = follow(&network.url(), &SHORT);
        respond(
            &network,
            status,
            r#"{"error":{"type":"x","reason":"no"},"status":1}"#,
        );
        assert_eq!(logq.wait_for_exit(), 2, "{status}");
        assert!(
            logq.stderr_lines().join("\n").contains(word),
            "{:?}",
            logq.stderr_lines()
        );
    }
}

#[tokio::test]
async fn overloaded_server_is_retried() {
    let Some(store) = LogStore::with_streams("an overloaded OpenSearch while following").await else {
        return;
    };
    let network = FaultProxy::start(store.url()).unwrap();
    let logq = follow(&network.url(), &SHORT);
    respond(
        &network,
        429,
        r#"{"error":{"type":"x","reason":"queue is full"},"status":429}"#,
    );
    logq.wait_for_message("too busy");
    network.restore().await;
    store.store_lines(&[plain("a", 1.0)]).await;
    logq.wait_for("\"a\"");
}

#[tokio::test]
async fn interrupt_ends_following_during_an_outage() {
    let Some(store) = LogStore::with_streams("Ctrl-C during an outage").await else {
        return;
    };
    for silent in [false, true] {
        let network = FaultProxy::start(store.url()).unwrap();
        let mut logq = follow(&network.url(), &SHORT);
        if silent {
            // The first response breaks, the next never arrives.
            network.behave(Behaviour::Stall).await;
            network.cut();
            wait_for_attempts(&network, 1).await;
        } else {
            network.behave(Behaviour::Refuse).await;
            logq.wait_for_message("output pauses");
        }
        let (code, took) = logq.interrupt();
        assert_eq!(code, 0);
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}

#[tokio::test]
async fn lines_deleted_before_they_were_read_are_reported() {
    let Some(store) = LogStore::with_streams("a gap of deleted lines").await else {
        return;
    };
    let network = FaultProxy::start(store.url()).unwrap();
    let mut logq = follow(&network.url(), &SHORT);
    // Deleting lines after they were read is no gap.
    store.ask(Method::Post, "/logs-irmgard/_rollover", None).await;
    network.behave(Behaviour::Refuse).await;
    logq.wait_for_message("output pauses");
    network.restore().await;
    logq.wait_for_message("answers again after");
    let first = store.indices("logs-irmgard").await[0].clone();
    store.ask(Method::Delete, &format!("/{first}"), None).await;
    network.behave(Behaviour::Refuse).await;
    network.restore().await;
    store.store_lines(&[plain("a", 1.0)]).await;
    logq.wait_for("\"a\"");
    assert!(
        !logq.stderr_lines().join("\n").contains("missing"),
        "{:?}",
        logq.stderr_lines()
    );

    // Deleting unread lines is a gap.
    network.behave(Behaviour::Refuse).await;
    store.store_lines(&[plain("never-seen", 2.0)]).await;
    store.ask(Method::Post, "/logs-irmgard/_rollover", None).await;
    store.ask(Method::Post, "/logs-irmgard/_rollover", None).await;
    let indices = store.indices("logs-irmgard").await;
    for index in &indices[..indices.len() - 1] {
        store.ask(Method::Delete, &format!("/{index}"), None).await;
    }
    network.restore().await;
    logq.wait_for_message("lines of logs-irmgard that OpenSearch stored from 20");
    store.store_lines(&[plain("b", 3.0)]).await;
    logq.wait_for("\"b\"");
    assert_eq!(logq.messages(), ["begin", "a", "b"]);

    // The whole stream is deleted, without an outage.
    store
        .ask(Method::Delete, "/_data_stream/logs-irmgard", None)
        .await;
    store.bootstrap().await;
    store.store_lines(&[plain("c", 4.0)]).await;
    logq.wait_for("\"c\"");
    let missing = |stderr: Vec<String>| stderr.iter().filter(|line| line.contains("missing")).count();
    while missing(logq.stderr_lines()) < 2 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    logq.signal(Signal::SIGTERM);
    assert_eq!(logq.wait_for_exit(), 0);
    assert_eq!(missing(logq.stderr_lines()), 2, "{:#?}", logq.stderr_lines());
}
