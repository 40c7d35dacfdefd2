//! Pods replace an OpenSearch without their lines, for example without Fluentd.

use std::{
    process::Output,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    api_server::{ApiServer, ListFault},
    log_store::LogStore,
    running::{self, RunningLogq},
    world,
};

const WHAT: &str = "the fallback to pods";

fn ask(store: &LogStore, server: &ApiServer, arguments: &[&str]) -> Output {
    let mut command = running::search_command(store.url(), arguments);
    server.configure(&mut command);
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn pods_replace_an_opensearch_without_their_lines() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    let folder = tempfile::tempdir().unwrap();
    world::write(folder.path());
    let server = ApiServer::start(folder.path());
    let ask = |arguments: &[&str]| ask(&store, &server, arguments);
    world::check_cases(world::CASES, &["--source", "auto"], ask);

    let output = ask(&["-c", "irmgard", "-o", "json"]);
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        all.as_array().unwrap().len(),
        4,
        "one array, and not another one before it"
    );
    let message = text(&output.stderr);
    assert!(
        message.starts_with(
            "logq: OpenSearch has no lines of irmgard. logq reads the pods of the context there \
             instead; missing there: "
        ),
        "{message}"
    );
    let stats = text(&ask(&["-c", "irmgard", "--stats", "-o", "jsonl"]).stdout);
    assert_eq!(stats.lines().count(), 1, "{stats}");
    assert!(stats.contains("\"lines\":4"), "{stats}");
    let trace = ask(&["trace", "--photo", "17"]);
    assert!(trace.status.success() && !trace.stdout.is_empty(), "{trace:?}");

    let mut followed = RunningLogq::start_with(store.url(), &["-c", "irmgard", "-o", "jsonl"], |command| {
        server.configure(command);
    });
    followed.wait_for("i4 detail");
    followed.wait_for_message("OpenSearch has no lines of irmgard");
    assert_eq!(followed.interrupt().0, 0);

    // With --source opensearch, there is no fallback.
    server.requests();
    let output = ask(&["-c", "irmgard", "--source", "opensearch"]);
    assert_eq!((output.status.code(), server.requests()), (Some(1), Vec::new()));
}

#[tokio::test]
async fn opensearch_with_lines_is_never_replaced() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    let folder = tempfile::tempdir().unwrap();
    world::write(folder.path());
    let server = ApiServer::start(folder.path());
    let line = json!({
        "@timestamp": "2026-11-22T10:00:00.000000000Z", "level": "info", "message": "stored before",
        "component": "irmgard", "kubernetes": { "namespace": "photos", "pod": "irmgard-a" },
    });
    let stored = store
        .create(&[("logs-irmgard".to_owned(), "id".to_owned(), line.to_string())])
        .await;
    assert_eq!(stored[0].0, 201, "{stored:?}");
    // Without a fallback: OpenSearch has lines of the component.
    for (arguments, found) in [
        (["-c", "irmgard", "-o", "jsonl"], 1),
        (["-c", "irmgard", "--since", "1h"], 0),
        (["-c", "irmgard", "--grep", "stored original"], 0),
        (["--level", "error", "-n", "photos"], 0),
    ] {
        let output = ask(&store, &server, &arguments);
        let shown = text(&output.stdout).lines().count();
        assert_eq!((shown, server.requests()), (found, Vec::new()), "{arguments:?}");
    }
    // Only the pods have lines of one of the two components.
    let output = ask(
        &store,
        &server,
        &["-c", "irmgard,postgres", "--grep", "^d", "-o", "jsonl"],
    );
    assert_eq!(world::first_words(&output), ["d1", "d2"]);
    let message = text(&output.stderr);
    assert!(
        message.contains("no lines of postgres. logq reads the pods"),
        "{message}"
    );
    // A component without pods: no fallback.
    let output = ask(&store, &server, &["-c", "elsewhere"]);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(!message.contains("instead"), "{message}");
}

/// With an unknown component, an unresponsive API server does not delay the result by a minute.
#[tokio::test]
async fn unresponsive_cluster_does_not_delay_the_result() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    let folder = tempfile::tempdir().unwrap();
    world::write(folder.path());
    let server = ApiServer::start(folder.path());
    server.set_list_fault(Some(ListFault::Silent));
    let start = Instant::now();
    let output = ask(&store, &server, &["-c", "irmgrad"]);
    let (took, message) = (start.elapsed(), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("no lines of component irmgrad"), "{message}");
    assert_eq!(server.requests(), ["/api/v1/pods?limit=500"]);
    let why = "the cluster did not answer within 5s; --source kubectl waits longer";
    assert!(message.contains(why), "{message}");
    assert!(took < Duration::from_secs(20), "{took:?}");
}
