//! Pods replace an OpenSearch without their lines, for example without Fluentd.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    kubectl::stand_in,
    running::{self, Running},
    store::Store,
    world,
};

const WHAT: &str = "the fallback to pods";

fn in_cluster(command: &mut Command, folder: &Path) {
    command
        .env("LOGQ_KUBECTL", stand_in())
        .env("STAND_IN_FOLDER", folder)
        .env("STAND_IN_CALLS", folder.join("calls"));
}

fn ask(store: &Store, folder: &Path, arguments: &[&str]) -> Output {
    let mut command = running::search_command(store.url(), arguments);
    in_cluster(&mut command, folder);
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The kubectl calls since the last check.
fn calls(folder: &Path) -> String {
    let calls = fs::read_to_string(folder.join("calls")).unwrap_or_default();
    let _ = fs::remove_file(folder.join("calls"));
    calls
}

#[tokio::test]
async fn pods_replace_an_opensearch_without_their_lines() {
    let Some(store) = Store::empty(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    world::write(folder);
    let ask = |arguments: &[&str]| ask(&store, folder, arguments);
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
            "logq: OpenSearch has no lines of irmgard. logq reads the pods of the context there with kubectl \
             instead; missing there: "
        ),
        "{message}"
    );
    let stats = text(&ask(&["-c", "irmgard", "--stats", "-o", "jsonl"]).stdout);
    assert_eq!(stats.lines().count(), 1, "{stats}");
    assert!(stats.contains("\"lines\":4"), "{stats}");
    let trace = ask(&["trace", "--photo", "17"]);
    assert!(trace.status.success() && !trace.stdout.is_empty(), "{trace:?}");

    let mut followed = Running::start_with(store.url(), &["-c", "irmgard", "-o", "jsonl"], |command| {
        in_cluster(command, folder);
    });
    followed.wait_for("i4 detail");
    followed.wait_for_message("OpenSearch has no lines of irmgard");
    assert_eq!(followed.interrupt().0, 0);

    // With --source opensearch, there is no fallback.
    calls(folder);
    let output = ask(&["-c", "irmgard", "--source", "opensearch"]);
    assert_eq!((output.status.code(), calls(folder)), (Some(1), String::new()));
}

#[tokio::test]
async fn opensearch_with_lines_is_never_replaced() {
    let Some(store) = Store::empty(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    world::write(folder);
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
        let output = ask(&store, folder, &arguments);
        let shown = text(&output.stdout).lines().count();
        assert_eq!((shown, calls(folder)), (found, String::new()), "{arguments:?}");
    }
    // Only the pods have lines of one of the two components.
    let output = ask(
        &store,
        folder,
        &["-c", "irmgard,postgres", "--grep", "^d", "-o", "jsonl"],
    );
    assert_eq!(world::first_words(&output), ["d1", "d2"]);
    let message = text(&output.stderr);
    assert!(
        message.contains("no lines of postgres. logq reads the pods"),
        "{message}"
    );
    // A component without pods: no fallback.
    let output = ask(&store, folder, &["-c", "elsewhere"]);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(!message.contains("instead"), "{message}");
}

/// With an unknown component, an unresponsive kubectl does not delay the result by a minute.
#[tokio::test]
async fn unresponsive_cluster_does_not_delay_the_result() {
    let Some(store) = Store::empty(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    let folder = tempfile::tempdir().unwrap();
    world::write(folder.path());
    let start = Instant::now();
    let mut command = running::search_command(store.url(), &["-c", "irmgrad"]);
    in_cluster(&mut command, folder.path());
    let output = command.env("STAND_IN_SILENT", "get").output().unwrap();
    let (took, message) = (start.elapsed(), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("no lines of component irmgrad"), "{message}");
    assert!(calls(folder.path()).contains("get pods"), "no call of kubectl");
    let why = "kubectl did not answer within 5s; --source kubectl waits longer";
    assert!(message.contains(why), "{message}");
    assert!(took < Duration::from_secs(20), "{took:?}");
}
