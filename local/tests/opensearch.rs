//! OpenSearch, which a stack has where it is asked for and the machine can have it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::path::Path;
use std::process::{Command, Output};

use support::{listens, processes};

/// With the run's other servers as if they were somebody else's, so that none is started.
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
async fn the_one_of_the_run_answers_and_is_used_by_who_is_given_it() {
    let Some(access) = local::opensearch("OpenSearch in the local stack").await.unwrap() else {
        return;
    };
    let hello = reqwest::get(&access.url).await.unwrap().text().await.unwrap();
    assert!(hello.contains("\"distribution\" : \"opensearch\""), "{hello}");
    if local::opensearch_is_ours("that no other machine can reach OpenSearch") {
        let port: u16 = access.url.rsplit_once(':').unwrap().1.parse().unwrap();
        let addresses: Vec<_> = processes()
            .map(listens)
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
fn a_machine_that_cannot_have_one_is_told_and_goes_without() {
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
async fn one_that_could_be_there_and_is_not_is_an_error() {
    if local::opensearch("what is said of an OpenSearch that is not installed")
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

fn lasting(arguments: &[&str], directory: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_local"))
        .args(arguments)
        .env("LOCAL_DIRECTORY", directory)
        .env_remove("LOCAL_STACK_STARTED")
        .env_remove("LOGQ_OPENSEARCH_URL")
        .output()
        .unwrap()
}

/// Ends the stack of a test that fails half way, too.
struct EndedInAnyCase<'d>(&'d Path);

impl Drop for EndedInAnyCase<'_> {
    fn drop(&mut self) {
        let _ = lasting(&["down"], self.0);
    }
}

#[tokio::test]
async fn a_lasting_one_has_templates_and_streams_and_goes_with_the_stack() {
    if local::opensearch("a lasting OpenSearch").await.unwrap().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path();
    let _ended = EndedInAnyCase(directory);
    let up = lasting(&["up", "--with", "opensearch"], directory);
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
        "no stream of our template"
    );
    let status = text(&lasting(&["status"], directory).stdout);
    let shipped = status.contains("logq import") || status.contains("Fluentd");
    assert!(status.contains("OpenSearch") && shipped, "{status}");
    let down = text(&lasting(&["down"], directory).stdout);
    assert!(down.contains("ended OpenSearch"), "{down}");
    assert!(reqwest::get(url).await.is_err());
}
