//! The log lines of the persistent local stack, from the processes to `logq`, also after kills.
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

/// The limit for every wait.
const TIME_LIMIT: Duration = Duration::from_secs(90);

/// The maximum age of the newest line.
const MAX_AGE: Duration = Duration::from_secs(10);

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A persistent stack in a temporary folder. Dropping it ends the stack.
struct TestStack {
    folder: tempfile::TempDir,
    environment: BTreeMap<String, String>,
}

impl TestStack {
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
            // Many small files, so that they rotate while they are read.
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

    fn local_succeeds(&self, arguments: &[&str]) -> String {
        let output = self.local(arguments);
        let all_output = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "local {arguments:?}: {all_output}");
        all_output
    }

    /// The lines that `logq` shows with the stack's environment file.
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

    fn line_ids(&self, arguments: &[&str]) -> Vec<String> {
        let id = |line: Value| line["event"]["id"].as_str().unwrap().to_owned();
        self.logq(arguments).into_iter().map(id).collect()
    }

    /// Kills a process of the stack by its name.
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

impl Drop for TestStack {
    fn drop(&mut self) {
        let _ = self.local(&["down"]);
    }
}

/// The rest of the report's line with this heading.
fn value_after<'r>(report: &'r str, heading: &str) -> &'r str {
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

/// Sends requests until `stop`. Each request makes the service and PostgreSQL log lines.
async fn generate_load(web: String, stop: Arc<AtomicBool>, count: Arc<AtomicU64>) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    while !stop.load(Ordering::Relaxed) {
        let response = client.get(format!("{web}/photos/1")).send().await;
        count.fetch_add(u64::from(response.is_ok()), Ordering::Relaxed);
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_the_stack_arrives_in_opensearch_once_and_soon() {
    if local::opensearch("the log lines of make demo")
        .await
        .unwrap()
        .is_none()
    {
        return;
    }
    let mut stack = TestStack::new();
    let photos = local::project_root().join("local/photos");
    let report = stack.local_succeeds(&["demo", photos.to_str().unwrap()]);
    let environment = value_after(&report, "for a shell      set -a; .")
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    stack.environment = read_environment(Path::new(&environment));
    let pods = PathBuf::from(value_after(&report, "logs  "));

    // The two commands that the demonstration prints.
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
    require_fresh_lines(&stack);

    // PostgreSQL's JSON arrives through its pipe, and a service logs the same pod as the path of its files.
    let folder = pods.to_str().unwrap();
    let lines = stack.logq(&[folder, "-c", "irmgard", "--limit", "1"]);
    let pod = lines[0]["kubernetes"].clone();
    let log = std::fs::read_to_string(pods.join(format!(
        "irmgard_irmgard-0_{}/irmgard/0.log",
        pod["pod_uid"].as_str().unwrap()
    )))
    .unwrap();
    let first_line: Value =
        serde_json::from_str(log.lines().next().unwrap().splitn(4, ' ').nth(3).unwrap()).unwrap();
    for name in ["namespace", "pod", "pod_uid", "container", "node"] {
        assert_eq!(first_line["kubernetes"][name], pod[name], "{name}");
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
    let shipper = if status.contains("Fluentd") {
        "Fluentd"
    } else {
        "logq import"
    };
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let web = value_after(&report, "web service").to_owned();
    let load = tokio::spawn(generate_load(web, Arc::clone(&stop), Arc::clone(&count)));
    for _ in 0..2 {
        wait_for_requests(&count, 200).await;
        stack.kill(shipper);
        wait_for_requests(&count, 100).await;
        stack.local_succeeds(&["up", "--with", "opensearch"]);
    }
    wait_for_requests(&count, 100).await;
    stack.kill("OpenSearch");
    wait_for_requests(&count, 300).await;
    stack.local_succeeds(&["up", "--with", "opensearch"]);
    wait_for_requests(&count, 200).await;
    stop.store(true, Ordering::Relaxed);
    load.await.unwrap();

    let all: BTreeSet<String> = stack.line_ids(&[folder]).into_iter().collect();
    let fluentd_lines: BTreeSet<String> = stack.line_ids(&[folder, "-c", "fluentd"]).into_iter().collect();
    let expected: BTreeSet<_> = all.difference(&fluentd_lines).cloned().collect();
    assert!(expected.len() > 2_000, "{} lines", expected.len());
    let deadline = Instant::now() + TIME_LIMIT;
    let stored = loop {
        let stored = stack.line_ids(&[]);
        let missing = expected.iter().filter(|id| !stored.contains(id)).count();
        if missing == 0 {
            break stored;
        }
        assert!(
            Instant::now() < deadline,
            "{missing} of {} lines are missing",
            expected.len()
        );
        sleep(Duration::from_millis(500)).await;
    };
    let unique: BTreeSet<String> = stored.iter().cloned().collect();
    assert_eq!(unique.len(), stored.len(), "lines are stored twice");
    let in_files: BTreeSet<String> = stack.line_ids(&[folder]).into_iter().collect();
    let unknown: Vec<_> = unique.difference(&in_files).collect();
    assert_eq!(unknown, Vec::<&String>::new(), "no file has these lines");
    let rotated = all_files(&pods)
        .into_iter()
        .filter(|file| file.contains(".log."))
        .count();
    assert!(rotated > 5, "only {rotated} rotated files");
    require_fresh_lines(&stack);

    // `logq doctor` compares the files with OpenSearch.
    let doctor = Command::new(local::program("logq").unwrap())
        .args(["doctor", folder])
        .env("LOGQ_CONFIG", "")
        .env("KUBECONFIG", "/nowhere/kubeconfig")
        .envs(&stack.environment)
        .output()
        .unwrap();
    let doctor = text(&doctor.stdout);
    assert!(doctor.contains(" lines have come"), "{doctor}");
    assert!(
        !doctor.contains("not come") && !doctor.contains("none of"),
        "{doctor}"
    );

    // Dead processes are shown as dead, and `up` restarts them.
    stack.kill("anonymizer");
    stack.kill(shipper);
    let deadline = Instant::now() + TIME_LIMIT;
    loop {
        let status = stack.local(&["status"]);
        let shown = text(&status.stdout);
        if ["anonymizer", shipper]
            .iter()
            .all(|name| shown.contains(&format!("dead  {name} (was ")))
        {
            assert_eq!(status.status.code(), Some(1), "{shown}");
            break;
        }
        assert!(Instant::now() < deadline, "{shown}");
        sleep(Duration::from_millis(100)).await;
    }
    stack.local_succeeds(&["up"]);
    let status = stack.local_succeeds(&["status"]);
    assert!(!status.contains("dead"), "{status}");
    for name in ["anonymizer", shipper] {
        assert!(status.lines().any(|line| line.ends_with(name)), "{status}");
    }

    let ended = stack.local_succeeds(&["down"]);
    assert!(ended.contains(&format!("ended {shipper}")), "{ended}");
    assert!(!pods.exists());
}

/// Requires a recent newest line. irmgard polls PostgreSQL, so there are always new lines.
fn require_fresh_lines(stack: &TestStack) {
    let newest = stack.logq(&["--tail", "1"]);
    let output = Command::new("date")
        .args(["-u", "+%s", "-d", newest[0]["@timestamp"].as_str().unwrap()])
        .output()
        .unwrap();
    let timestamp: u64 = text(&output.stdout).trim().parse().unwrap();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let age = now.as_secs().saturating_sub(timestamp);
    assert!(age <= MAX_AGE.as_secs(), "the newest line is {age} s old");
}

async fn wait_for_requests(count: &AtomicU64, more: u64) {
    let target = count.load(Ordering::Relaxed) + more;
    let deadline = Instant::now() + TIME_LIMIT;
    while count.load(Ordering::Relaxed) < target {
        assert!(Instant::now() < deadline, "the web service does not answer");
        sleep(Duration::from_millis(10)).await;
    }
}

fn all_files(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(all_files(&path));
        } else {
            files.push(path.display().to_string());
        }
    }
    files
}

/// Parses lines `NAME='value'`.
fn read_environment(path: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(path).unwrap();
    let variable = |line: &str| {
        let (name, value) = line.split_once('=')?;
        Some((name.to_owned(), value.trim_matches('\'').to_owned()))
    };
    text.lines().filter_map(variable).collect()
}
