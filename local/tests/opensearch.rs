//! Tests of OpenSearch in a stack, which starts only on request and where the machine can run it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::path::Path;
use std::process::{Command, Output};

use support::{all_pids, listening_addresses};

/// `local exec` with the servers of the test run as external servers, so that it starts none of them.
fn exec(script: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_local"));
    command
        .args(["exec", "--with", "opensearch", "--", "sh", "-c", script])
        .env_remove("LOCAL_STACK_STARTED")
        .env_remove("LOCAL_OPENSEARCH_MISSING");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}

#[tokio::test]
async fn the_opensearch_of_the_test_run_answers_and_exec_uses_it_as_external() {
    let Some(access) = local::opensearch("OpenSearch in the local stack").await.unwrap() else {
        return;
    };
    let info = reqwest::get(&access.url).await.unwrap().text().await.unwrap();
    assert!(info.contains("\"distribution\" : \"opensearch\""), "{info}");
    if local::opensearch_is_ours("OpenSearch listens only on loopback addresses") {
        let port: u16 = access.url.rsplit_once(':').unwrap().1.parse().unwrap();
        let addresses: Vec<_> = all_pids()
            .map(listening_addresses)
            .filter(|addresses| addresses.iter().any(|address| address.port() == port))
            .flatten()
            .collect();
        assert!(addresses.len() >= 2, "HTTP and transport: {addresses:?}");
        assert!(
            addresses.iter().all(|address| address.ip().is_loopback()),
            "{addresses:?}"
        );
    }
    let output = run(&mut exec("echo $LOGQ_OPENSEARCH_URL $LOCAL_STACK_STARTED."));
    assert_eq!(
        text(&output.stdout),
        format!("{} .\n", access.url),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn without_a_jdk_exec_prints_the_reason_and_runs_without_opensearch() {
    let script = "echo \"$LOGQ_OPENSEARCH_URL|$LOCAL_OPENSEARCH_MISSING\"";
    let output = run(exec(script)
        .env_remove("LOGQ_OPENSEARCH_URL")
        .env("LOCAL_JAVA_HOME", "/nowhere"));
    let (out, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{errors}");
    assert!(
        out.starts_with("|OpenSearch cannot run on this machine: there is no JDK 21"),
        "{out}"
    );
    assert!(errors.contains("there is no JDK 21 or newer"), "{errors}");
}

#[tokio::test]
async fn a_missing_installation_is_an_error() {
    if local::opensearch("the error for an OpenSearch that is not installed")
        .await
        .unwrap()
        .is_none()
    {
        return;
    }
    let output = run(exec("true")
        .env_remove("LOGQ_OPENSEARCH_URL")
        .env("LOCAL_OPENSEARCH_HOME", "/nowhere"));
    assert_eq!(output.status.code(), Some(70));
    assert!(
        text(&output.stderr).contains("run `make setup`"),
        "{}",
        text(&output.stderr)
    );
}

fn local(arguments: &[&str], directory: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_local"))
        .args(arguments)
        .env("LOCAL_DIRECTORY", directory)
        .env_remove("LOCAL_STACK_STARTED")
        .env_remove("LOGQ_OPENSEARCH_URL")
        .output()
        .unwrap()
}

/// Ends the stack, also when the test fails.
struct DownOnDrop<'d>(&'d Path);

impl Drop for DownOnDrop<'_> {
    fn drop(&mut self) {
        let _ = local(&["down"], self.0);
    }
}

#[tokio::test]
async fn in_the_persistent_stack_it_gets_templates_and_streams_and_ends_with_the_stack() {
    if local::opensearch("OpenSearch in the persistent stack")
        .await
        .unwrap()
        .is_none()
    {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path();
    let _down = DownOnDrop(directory);
    let up = local(&["up", "--with", "opensearch"], directory);
    assert!(up.status.success(), "{}", text(&up.stderr));
    let out = text(&up.stdout);
    let url = out
        .lines()
        .find_map(|line| line.strip_prefix("OpenSearch  "))
        .unwrap();
    let streams = reqwest::get(format!("{url}/_data_stream/logs-irmgard"))
        .await
        .unwrap();
    assert!(
        streams.text().await.unwrap().contains("irmgard-logs"),
        "no data stream of our template"
    );
    let status = text(&local(&["status"], directory).stdout);
    let shipped = status.contains("logq import") || status.contains("Fluentd");
    assert!(status.contains("OpenSearch") && shipped, "{status}");
    let down = text(&local(&["down"], directory).stdout);
    assert!(down.contains("ended OpenSearch"), "{down}");
    assert!(reqwest::get(url).await.is_err());
}
