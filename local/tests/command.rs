//! Tests of the command line of `local`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use local::ProcessIdentity;
use nix::sys::signal::Signal;

fn local(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_local"));
    command.args(arguments);
    command
}

/// `local` without a server in the environment.
fn local_without_servers(arguments: &[&str]) -> Command {
    let mut command = local(arguments);
    for name in ["POSTGRES_HOST", "RABBITMQ_HOST", "OBJECT_STORE_ENDPOINT"] {
        command.env_remove(name);
    }
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}

#[test]
fn exec_returns_the_exit_code_of_the_command() {
    let output = run(&mut local(&["exec", "--", "sh", "-c", "exit 7"]));
    assert_eq!(output.status.code(), Some(7), "{}", text(&output.stderr));
}

#[test]
fn exec_uses_external_servers() {
    // The servers of the test run, as external servers.
    let postgres_port = std::env::var("POSTGRES_PORT").expect("run with `make test`");
    let script = "echo $POSTGRES_PORT $RABBITMQ_PORT $OBJECT_STORE_ENDPOINT";
    let output = run(local(&["exec", "--", "sh", "-c", script]).env_remove("LOCAL_STACK_STARTED"));
    let expected = format!(
        "{postgres_port} {} {}\n",
        std::env::var("RABBITMQ_PORT").unwrap(),
        std::env::var("OBJECT_STORE_ENDPOINT").unwrap()
    );
    assert_eq!(text(&output.stdout), expected, "{}", text(&output.stderr));
}

#[test]
fn a_missing_server_is_named_with_its_package() {
    let output = run(local_without_servers(&["exec", "--", "true"])
        .env("LOCAL_RABBITMQ_SERVER", "/nowhere/rabbitmq-server"));
    assert_eq!(output.status.code(), Some(70));
    assert!(
        text(&output.stderr).contains("apt-get install rabbitmq-server"),
        "{}",
        text(&output.stderr)
    );

    let output = run(local_without_servers(&["exec", "--", "true"]).env("LOCAL_POSTGRES_BIN", "/nowhere"));
    assert_eq!(output.status.code(), Some(70));
    assert!(
        text(&output.stderr).contains("apt-get install postgresql"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_server_that_cannot_start_shows_the_end_of_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("rabbitmq-server");
    std::fs::write(&broken, "#!/bin/sh\necho the disk is on fire\nexit 1\n").unwrap();
    std::fs::set_permissions(&broken, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let output = run(local_without_servers(&["exec", "--", "true"]).env("LOCAL_RABBITMQ_SERVER", &broken));
    assert_eq!(output.status.code(), Some(70));
    assert!(
        text(&output.stderr).contains("the disk is on fire"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn servers_do_not_outlive_a_killed_parent() {
    let mut exec = local_without_servers(&["exec", "--", "sh", "-c", "echo $$; exec sleep 600"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(exec.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let command = ProcessIdentity::from_pid(line.trim().parse().unwrap()).unwrap();
    let parent = ProcessIdentity::from_pid(exec.id().try_into().unwrap()).unwrap();
    let servers: Vec<ProcessIdentity> = parent
        .descendants()
        .into_iter()
        .filter(|process| *process != command)
        .collect();
    assert!(servers.len() >= 4, "{servers:?}");

    parent.signal(Signal::SIGKILL);
    exec.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while servers.iter().any(ProcessIdentity::alive) {
        assert!(Instant::now() < deadline, "still alive: {servers:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    command.signal(Signal::SIGKILL);
}
