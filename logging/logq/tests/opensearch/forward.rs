//! OpenSearch through a port-forward of kubectl's stand-in.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use logq::opensearch::Method;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    kubectl::stand_in,
    running::{self, Running},
    store::Store,
    world,
};

const PLACE: &str = "kubernetes://irmgard/opensearch";

/// Configures a cluster with OpenSearch.
fn in_cluster(command: &mut Command, store: &Store, folder: &Path) {
    let server = store.url().trim_start_matches("http://").trim_end_matches('/');
    command
        .env("LOGQ_KUBECTL", stand_in())
        .env("STAND_IN_FOLDER", folder)
        .env("STAND_IN_CALLS", folder.join("calls"))
        .env("STAND_IN_SERVER", server);
}

fn command(store: &Store, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = running::search_command(PLACE, arguments);
    in_cluster(&mut command, store, folder);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The process ids of all port-forwards.
fn forwards(folder: &Path) -> Vec<i32> {
    let calls = fs::read_to_string(folder.join("calls")).unwrap_or_default();
    let start = calls.lines().filter_map(|call| call.strip_prefix("+ "));
    let forwards = start.filter_map(|call| call.split_once(" port-forward "));
    forwards.map(|(process, _)| process.parse().unwrap()).collect()
}

/// Waits until all port-forwards have ended.
fn wait_until_all_ended(folder: &Path) {
    let start = Instant::now();
    for process in forwards(folder) {
        while kill(Pid::from_raw(process), None).is_ok() {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "{process} is left behind"
            );
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[tokio::test]
async fn all_cases_work_through_a_port_forward() {
    let Some(store) = Store::empty("search through a port-forward").await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let pods = world::write(folder);
    let pods = pods.to_str().unwrap();
    let ask = |arguments: &[&str]| -> Output { command(&store, folder, arguments).output().unwrap() };
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
    let by = " port-forward --address=127.0.0.1 --namespace=irmgard --pod-running-timeout=3s \
        service/opensearch \
              :9200 --context=there\nrequests to kubernetes://irmgard/opensearch: POST /_search";
    assert!(explained.contains(by), "{explained}");
    let retained = ask(&["admin", "retain", "--dry-run"]);
    assert!(retained.status.success(), "{}", text(&retained.stderr));
    let doctor = text(&ask(&["doctor"]).stdout);
    assert!(
        doctor.contains("through a port-forward to irmgard/opensearch"),
        "{doctor}"
    );
    wait_until_all_ended(folder);
}

#[tokio::test]
async fn port_forward_reopens_without_lost_or_duplicate_lines() {
    let Some(store) = Store::empty("a lost port-forward while following").await else {
        return;
    };
    store.bootstrap().await;
    store.store_lines(&[crate::follow::plain("begin", 0.0)]).await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let cluster = |command: &mut Command| in_cluster(command, &store, folder);
    let mut logq = Running::start_with(PLACE, &["-o", "jsonl", "--order-window", "100ms"], cluster);
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
                    let made = forwards(folder).len();
                    fs::write(folder.join("forward"), "lost").unwrap();
                    while folder.join("forward").exists() {
                        thread::sleep(Duration::from_millis(2));
                    }
                    if round > 0 {
                        // The new pod needs some time.
                        fs::write(folder.join("forward"), "pending").unwrap();
                        while forwards(folder).len() < made + 3 {
                            thread::sleep(Duration::from_millis(5));
                        }
                    }
                }
                "while" => {
                    let _ = fs::remove_file(folder.join("forward"));
                }
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
    wait_until_all_ended(folder);
}

#[tokio::test]
async fn port_forward_ends_with_logq() {
    let Some(store) = Store::empty("the end of a port-forward").await else {
        return;
    };
    store.bootstrap().await;
    store.store_lines(&[crate::follow::plain("begin", 0.0)]).await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (number, signal) in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGKILL]
        .into_iter()
        .enumerate()
    {
        let cluster = |command: &mut Command| in_cluster(command, &store, folder);
        let mut logq = Running::start_with(PLACE, &["-o", "jsonl"], cluster);
        logq.wait_for("begin");
        assert_eq!(forwards(folder).len(), number + 1);
        logq.signal(signal);
        logq.wait_for_exit();
        wait_until_all_ended(folder);
    }
    // The test reads no more output.
    let mut child = command(&store, folder, &["--follow", "-o", "jsonl"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while forwards(folder).len() < 5 {
        thread::sleep(Duration::from_millis(5));
    }
    drop(child.stdout.take());
    child.wait().unwrap();
    wait_until_all_ended(folder);
    assert_eq!(forwards(folder).len(), 5);
}

/// Commands that change OpenSearch need an explicit address.
#[tokio::test]
async fn admin_never_changes_an_unnamed_cluster() {
    let Some(store) = Store::from_environment("logq admin without an address").await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut retain = command(&store, folder.path(), &["admin", "retain", "--dry-run"]);
    retain.env_remove("LOGQ_OPENSEARCH_URL");
    retain.output().unwrap();
    assert_eq!(forwards(folder.path()), Vec::<i32>::new());
}
