//! Tests of the stack that outlives the program that started it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use local::ProcessIdentity;
use nix::sys::signal::Signal;

fn program(command: &str, directory: &Path) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_local"));
    // The servers of the test run are not this stack's.
    program
        .arg(command)
        .env("LOCAL_DIRECTORY", directory)
        .env_remove("POSTGRES_HOST")
        .env_remove("RABBITMQ_HOST")
        .env_remove("OBJECT_STORE_ENDPOINT");
    program
}

/// Ends the stack, also when the test fails.
struct DownOnDrop<'d>(&'d Path);

impl Drop for DownOnDrop<'_> {
    fn drop(&mut self) {
        let _ = program("down", self.0).status();
    }
}

fn local(command: &str, directory: &Path) -> Output {
    let output = program(command, directory).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() || command == "status",
        "local {command}: {errors}"
    );
    output
}

/// The processes that `local status` shows, by name.
fn running(directory: &Path) -> BTreeMap<String, ProcessIdentity> {
    let output = local("status", directory);
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.trim().split_once("  "))
        .filter_map(|(pid, name)| Some((name.to_owned(), ProcessIdentity::from_pid(pid.parse().ok()?)?)))
        .collect()
}

#[test]
fn up_restarts_dead_processes_and_down_ends_exactly_the_started_ones() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path();
    let _down = DownOnDrop(directory);
    local("up", directory);
    let first = running(directory);
    let names: Vec<&str> = first.keys().map(String::as_str).collect();
    assert_eq!(names, ["PostgreSQL", "RabbitMQ", "S3 server", "epmd"]);

    let output = String::from_utf8(local("status", directory).stdout).unwrap();
    for name in ["PostgreSQL", "RabbitMQ", "S3"] {
        let address = output.lines().find_map(|line| line.strip_prefix(name));
        let address = address.unwrap().trim().trim_start_matches("http://");
        TcpStream::connect(address).unwrap();
    }
    let environment = output.split_once("set -a; . ").unwrap().1;
    let environment = std::fs::read_to_string(environment.split_once(';').unwrap().0).unwrap();
    assert!(environment.contains("POSTGRES_PORT="), "{environment}");

    first["S3 server"].signal(Signal::SIGKILL);
    // Until it is a zombie, it counts as running.
    let deadline = Instant::now() + Duration::from_secs(20);
    while first["S3 server"].alive() {
        assert!(Instant::now() < deadline, "the S3 server does not end");
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = local("status", directory);
    let text = String::from_utf8(output.stdout).unwrap();
    let dead = format!("dead  S3 server (was {})", first["S3 server"].pid);
    assert!(
        text.contains(&dead) && !text.contains("dead  PostgreSQL"),
        "{text}"
    );
    assert_eq!(output.status.code(), Some(1));
    local("up", directory);
    let output = local("status", directory);
    assert!(
        !String::from_utf8_lossy(&output.stdout).contains("dead"),
        "{output:?}"
    );
    assert_eq!(output.status.code(), Some(0));
    let second = running(directory);
    assert_ne!(first["S3 server"], second["S3 server"]);
    assert_eq!(first["PostgreSQL"], second["PostgreSQL"]);
    assert_eq!(first["RabbitMQ"], second["RabbitMQ"]);

    // A foreign process with a recorded pid, but another start time.
    let mut foreign = Command::new("sleep")
        .arg("600")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let journal = directory.join("stack.processes");
    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, format!("{text}{} 1 1 PostgreSQL\n", foreign.id())).unwrap();

    local("down", directory);
    assert!(second.values().all(|process| !process.alive()), "{second:?}");
    assert!(
        foreign.try_wait().unwrap().is_none(),
        "a foreign process was ended"
    );
    foreign.kill().unwrap();
    foreign.wait().unwrap();
    assert!(running(directory).is_empty());
    let remaining: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(remaining, ["stack.lock"]);
}
