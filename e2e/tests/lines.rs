//! The log lines of the local stack, from the processes to `logq`: as in a cluster, and through kills.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tokio::time::sleep;

const PATIENCE: Duration = Duration::from_secs(90);

/// What is shown at the latest after so long.
const FRESH: Duration = Duration::from_secs(10);

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The lasting stack in a folder of its own; it is ended in any case.
struct Stack {
    folder: tempfile::TempDir,
    environment: BTreeMap<String, String>,
}

impl Stack {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            environment: BTreeMap::new(),
        }
    }

    fn local(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(local::program("local").unwrap());
        command
            .args(arguments)
            .env("LOCAL_DIRECTORY", self.folder.path())
            // Many small files, so that they are renamed while they are read.
            .env("LOCAL_LOG_FILE_BYTES", "200000")
            .env("LOCAL_LOG_FILES", "500");
        // The servers of the test run are not this stack's.
        for server in [
            "POSTGRES_HOST",
            "RABBITMQ_HOST",
            "OBJECT_STORE_ENDPOINT",
            "LOGQ_OPENSEARCH_URL",
        ] {
            command.env_remove(server);
        }
        command.output().unwrap()
    }

    fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.local(arguments);
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "local {arguments:?}: {said}");
        said
    }

    /// What `logq` shows, as one has it after reading the file `environment`.
    fn logq(&self, arguments: &[&str]) -> Vec<Value> {
        let output = Command::new(local::program("logq").unwrap())
            .args(arguments)
            .args(["-o", "jsonl"])
            .env("LOGQ_SINCE", "all")
            .env("LOGQ_CONFIG", "")
            .envs(&self.environment)
            .output()
            .unwrap();
        let errors = text(&output.stderr);
        assert_ne!(output.status.code(), Some(2), "logq {arguments:?}: {errors}");
        let lines = text(&output.stdout);
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn ids(&self, arguments: &[&str]) -> Vec<String> {
        let id = |line: Value| line["event"]["id"].as_str().unwrap().to_owned();
        self.logq(arguments).into_iter().map(id).collect()
    }

    /// Ends a process as if it had been out of luck.
    fn kill(&self, name: &str) {
        let status = text(&self.local(&["status"]).stdout);
        let line = status
            .lines()
            .find(|line| line.ends_with(name))
            .unwrap_or_else(|| panic!("{name}: {status}"));
        let pid = line.split_whitespace().next().unwrap().parse().unwrap();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let _ = self.local(&["down"]);
    }
}

/// What stands after a heading of the demonstration's report.
fn told<'r>(report: &'r str, heading: &str) -> &'r str {
    report
        .lines()
        .find_map(|line| line.trim().strip_prefix(heading))
        .unwrap_or_else(|| panic!("{heading}: {report}"))
        .trim()
}

fn components(lines: &[Value]) -> BTreeSet<&str> {
    lines
        .iter()
        .filter_map(|line| line["component"].as_str())
        .collect()
}

/// Requests, each of which makes lines of the service's and of PostgreSQL's, until it is told to stop.
async fn load(web: String, stop: Arc<AtomicBool>, count: Arc<AtomicU64>) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    while !stop.load(Ordering::Relaxed) {
        let answer = client.get(format!("{web}/photos/1")).send().await;
        count.fetch_add(u64::from(answer.is_ok()), Ordering::Relaxed);
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_the_stack_comes_to_opensearch_once_and_soon() {
    if local::opensearch("the log lines of make demo")
        .await
        .unwrap()
        .is_none()
    {
        return;
    }
    let mut stack = Stack::new();
    let photos = local::project_root().join("local/photos");
    let report = stack.succeeds(&["demo", photos.to_str().unwrap()]);
    let environment = told(&report, "for a shell      set -a; .")
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    stack.environment = read_environment(Path::new(&environment));
    let pods = PathBuf::from(told(&report, "logs  "));

    // The two lines that the demonstration says.
    assert!(
        report.contains("--component irmgard --with-db --since 5m"),
        "{report}"
    );
    let lines = stack.logq(&["--component", "irmgard", "--with-db", "--since", "5m"]);
    assert_eq!(components(&lines), BTreeSet::from(["irmgard", "postgres"]));
    let trace = report
        .lines()
        .find_map(|line| line.split_once("logq trace "))
        .unwrap()
        .1;
    let lines = stack.logq(&["--trace", trace]);
    assert_eq!(
        components(&lines),
        BTreeSet::from(["anonymizer", "irmgard", "postgres"]),
        "{trace}"
    );
    fresh(&stack);

    // PostgreSQL's JSON has come through its pipe, and what a service says of its pod is what its files say.
    let folder = pods.to_str().unwrap();
    let lines = stack.logq(&[folder, "-c", "irmgard", "--limit", "1"]);
    let place = lines[0]["kubernetes"].clone();
    let written = std::fs::read_to_string(pods.join(format!(
        "irmgard_irmgard-0_{}/irmgard/0.log",
        place["pod_uid"].as_str().unwrap()
    )))
    .unwrap();
    let own: Value =
        serde_json::from_str(written.lines().next().unwrap().splitn(4, ' ').nth(3).unwrap()).unwrap();
    for name in ["namespace", "pod", "pod_uid", "container", "node"] {
        assert_eq!(own["kubernetes"][name], place[name], "{name}");
    }
    let lines = stack.logq(&[
        folder,
        "-c",
        "postgres",
        "-f",
        "db.query.text exists",
        "--limit",
        "1",
    ]);
    assert_eq!(lines.len(), 1);

    let status = text(&stack.local(&["status"]).stdout);
    let carrier = if status.contains("Fluentd") {
        "Fluentd"
    } else {
        "logq import"
    };
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let web = told(&report, "web service").to_owned();
    let loaded = tokio::spawn(load(web, Arc::clone(&stop), Arc::clone(&count)));
    for _ in 0..2 {
        after(&count, 200).await;
        stack.kill(carrier);
        after(&count, 100).await;
        stack.succeeds(&["up", "--with", "opensearch"]);
    }
    after(&count, 100).await;
    stack.kill("OpenSearch");
    after(&count, 300).await;
    stack.succeeds(&["up", "--with", "opensearch"]);
    after(&count, 200).await;
    stop.store(true, Ordering::Relaxed);
    loaded.await.unwrap();

    let before: BTreeSet<String> = stack.ids(&[folder]).into_iter().collect();
    let own: BTreeSet<String> = stack.ids(&[folder, "-c", "fluentd"]).into_iter().collect();
    let wanted: BTreeSet<_> = before.difference(&own).cloned().collect();
    assert!(wanted.len() > 2_000, "{} lines", wanted.len());
    let end = Instant::now() + PATIENCE;
    let stored = loop {
        let stored = stack.ids(&[]);
        let missing = wanted.iter().filter(|id| !stored.contains(id)).count();
        if missing == 0 {
            break stored;
        }
        assert!(
            Instant::now() < end,
            "{missing} of {} lines are missing",
            wanted.len()
        );
        sleep(Duration::from_millis(500)).await;
    };
    let once: BTreeSet<String> = stored.iter().cloned().collect();
    assert_eq!(once.len(), stored.len(), "lines are there twice");
    let after: BTreeSet<String> = stack.ids(&[folder]).into_iter().collect();
    let strange: Vec<_> = once.difference(&after).collect();
    assert_eq!(strange, Vec::<&String>::new(), "no file has these lines");
    let rotated = walk(&pods)
        .into_iter()
        .filter(|file| file.contains(".log."))
        .count();
    assert!(rotated > 5, "{rotated} files were renamed");
    fresh(&stack);

    // Nothing is missing, by the files.
    let doctor = Command::new(local::program("logq").unwrap())
        .args(["doctor", folder])
        .env("LOGQ_CONFIG", "")
        .env("LOGQ_KUBECTL", "/nowhere/kubectl")
        .envs(&stack.environment)
        .output()
        .unwrap();
    let doctor = text(&doctor.stdout);
    assert!(doctor.contains(" lines have come"), "{doctor}");
    assert!(
        !doctor.contains("not come") && !doctor.contains("none of"),
        "{doctor}"
    );

    // What has died is shown as dead, and comes back.
    stack.kill("anonymizer");
    stack.kill(carrier);
    let end = Instant::now() + PATIENCE;
    loop {
        let status = stack.local(&["status"]);
        let shown = text(&status.stdout);
        if ["anonymizer", carrier]
            .iter()
            .all(|name| shown.contains(&format!("dead  {name} (was ")))
        {
            assert_eq!(status.status.code(), Some(1), "{shown}");
            break;
        }
        assert!(Instant::now() < end, "{shown}");
        sleep(Duration::from_millis(100)).await;
    }
    stack.succeeds(&["up"]);
    let status = stack.succeeds(&["status"]);
    assert!(!status.contains("dead"), "{status}");
    for name in ["anonymizer", carrier] {
        assert!(status.lines().any(|line| line.ends_with(name)), "{status}");
    }

    let ended = stack.succeeds(&["down"]);
    assert!(ended.contains(&format!("ended {carrier}")), "{ended}");
    assert!(!pods.exists());
}

/// PostgreSQL writes lines all the time: irmgard looks for work.
fn fresh(stack: &Stack) {
    let newest = stack.logq(&["--tail", "1"]);
    let output = Command::new("date")
        .args(["-u", "+%s", "-d", newest[0]["@timestamp"].as_str().unwrap()])
        .output()
        .unwrap();
    let then: u64 = text(&output.stdout).trim().parse().unwrap();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let age = now.as_secs().saturating_sub(then);
    assert!(age <= FRESH.as_secs(), "the newest line is {age} s old");
}

async fn after(count: &AtomicU64, more: u64) {
    let wanted = count.load(Ordering::Relaxed) + more;
    let end = Instant::now() + PATIENCE;
    while count.load(Ordering::Relaxed) < wanted {
        assert!(Instant::now() < end, "the web service answers no more");
        sleep(Duration::from_millis(10)).await;
    }
}

fn walk(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walk(&path));
        } else {
            files.push(path.display().to_string());
        }
    }
    files
}

/// `NAME='value'` lines.
fn read_environment(path: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(path).unwrap();
    let variable = |line: &str| {
        let (name, value) = line.split_once('=')?;
        Some((name.to_owned(), value.trim_matches('\'').to_owned()))
    };
    text.lines().filter_map(variable).collect()
}
