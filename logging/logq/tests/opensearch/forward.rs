//! OpenSearch through a port-forward.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use logq::opensearch::Method;
use nix::sys::signal::Signal;
use test_support::eventually;

use crate::{
    api_server::{ApiServer, ForwardFault},
    log_store::LogStore,
    running::{self, RunningLogq},
    world,
};

const PLACE: &str = "kubernetes://irmgard/opensearch";

/// A cluster with this OpenSearch.
fn cluster(store: &LogStore, folder: &Path) -> ApiServer {
    let server = ApiServer::start(folder);
    server.set_opensearch(store.url().trim_start_matches("http://").trim_end_matches('/'));
    server
}

fn command(server: &ApiServer, arguments: &[&str]) -> Command {
    let mut command = running::search_command(PLACE, arguments);
    server.configure(&mut command);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn all_cases_work_through_a_port_forward() {
    let Some(store) = LogStore::empty("search through a port-forward").await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let pods = world::write(folder);
    let pods = pods.to_str().unwrap();
    let server = cluster(&store, folder);
    let ask = |arguments: &[&str]| -> Output { command(&server, arguments).output().unwrap() };
    let made = ask(&["admin", "bootstrap"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let brought = ask(&["import", pods]);
    assert_eq!(
        text(&brought.stderr),
        "logq: 10 lines stored, 0 already in OpenSearch\n"
    );
    store.ask(Method::Post, "/logs-*/_refresh", None).await;
    for source in ["auto", "opensearch", "both"] {
        world::check_cases(world::CASES, &["--source", source], ask);
    }

    let message = "logq: OpenSearch through a port-forward to irmgard/opensearch of the context there\n";
    let people = ask(&["--limit", "20"]);
    assert!(
        text(&people.stderr).starts_with(message),
        "{}",
        text(&people.stderr)
    );
    let program = text(&ask(&["-o", "json"]).stderr);
    assert!(!program.contains("port-forward"), "{program}");
    let explained = text(&ask(&["--explain", "--kube-context", "there"]).stdout);
    let by = "connection: a port-forward to irmgard/opensearch of the context there\nrequests to \
              kubernetes://irmgard/opensearch: POST /_search";
    assert!(explained.contains(by), "{explained}");
    let retained = ask(&["admin", "retain", "--dry-run"]);
    assert!(retained.status.success(), "{}", text(&retained.stderr));
    let doctor = text(&ask(&["doctor"]).stdout);
    assert!(
        doctor.contains("through a port-forward to irmgard/opensearch"),
        "{doctor}"
    );
    server.wait_until_closed();
}

#[tokio::test]
async fn port_forward_reopens_without_lost_or_duplicate_lines() {
    let Some(store) = LogStore::empty("a lost port-forward while following").await else {
        return;
    };
    store.bootstrap().await;
    store.store_lines(&[crate::follow::plain("begin", 0.0)]).await;
    let folder = tempfile::tempdir().unwrap();
    let server = cluster(&store, folder.path());
    let arguments = ["-o", "jsonl", "--order-window", "100ms"];
    let mut logq = RunningLogq::start_with(PLACE, &arguments, |command| server.configure(command));
    logq.wait_for("begin");
    let mut wanted = vec!["begin".to_owned()];
    let mut second = 0.0;
    for round in 0..3 {
        for when in ["before", "while", "after"] {
            second += 1.0;
            let id = format!("{when}-{round}");
            store.store_lines(&[crate::follow::plain(&id, second)]).await;
            wanted.push(id.clone());
            match when {
                "before" => {
                    logq.wait_for(&id);
                    if round > 0 {
                        // The new pod needs some time.
                        server.set_forward_fault(Some(ForwardFault::Pending));
                    }
                    server.lose_pod();
                    if round > 0 {
                        eventually("logq reports the outage", async || {
                            let stderr = logq.stderr_lines();
                            stderr
                                .iter()
                                .filter(|line| line.contains("output pauses"))
                                .count()
                                == round
                        })
                        .await;
                    }
                }
                "while" => server.set_forward_fault(None),
                _ => logq.wait_for(&id),
            }
        }
    }
    assert_eq!(logq.messages(), wanted);
    let (code, _) = logq.interrupt();
    assert_eq!(code, 0);
    let stderr = logq.stderr_lines().join("\n");
    let anew = "the port-forward to irmgard/opensearch ended: lost connection to pod; logq opened a new one";
    assert_eq!(stderr.matches(anew).count(), 3, "{stderr}");
    assert_eq!(stderr.matches("output pauses").count(), 2, "{stderr}");
    assert_eq!(stderr.matches("answers again after").count(), 2, "{stderr}");
    server.wait_until_closed();
}

#[tokio::test]
async fn port_forward_ends_with_logq() {
    let Some(store) = LogStore::empty("the end of a port-forward").await else {
        return;
    };
    store.bootstrap().await;
    store.store_lines(&[crate::follow::plain("begin", 0.0)]).await;
    let folder = tempfile::tempdir().unwrap();
    let server = cluster(&store, folder.path());
    for (number, signal) in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGKILL]
        .into_iter()
        .enumerate()
    {
        let mut logq = RunningLogq::start_with(PLACE, &["-o", "jsonl"], |command| server.configure(command));
        logq.wait_for("begin");
        assert!(server.forwards() > number);
        logq.signal(signal);
        logq.wait_for_exit();
        server.wait_until_closed();
    }
    // The test reads no more output.
    let before = server.forwards();
    let mut child = command(&server, &["--follow", "-o", "jsonl"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while server.forwards() == before {
        thread::sleep(Duration::from_millis(5));
    }
    drop(child.stdout.take());
    child.wait().unwrap();
    server.wait_until_closed();
}

/// Commands that change OpenSearch need an explicit address.
#[tokio::test]
async fn admin_never_changes_an_unnamed_cluster() {
    let Some(store) = LogStore::from_environment("logq admin without an address").await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let server = cluster(&store, folder.path());
    let mut retain = command(&server, &["admin", "retain", "--dry-run"]);
    retain.env_remove("LOGQ_OPENSEARCH_URL");
    retain.output().unwrap();
    assert_eq!(server.requests(), Vec::<String>::new());
}
