//! `logq import --follow` of growing files.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use chrono::{DateTime, SecondsFormat, Utc};
use logq::opensearch::Method;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;
use tokio::time::sleep;

use test_support::{Behaviour, FaultProxy, eventually};

use crate::log_store::LogStore;

const PATIENCE: Duration = Duration::from_secs(60);

/// Lines of each log in one round.
const LINES: u64 = 15;

/// A container's log with numbered lines, in the kubelet's format.
struct RotatingLog {
    directory: PathBuf,
    file: File,
    size: usize,
    rotated: u32,
    written: u64,
}

impl RotatingLog {
    fn new(pods: &Path, pod: &str) -> Self {
        let directory = pods.join(format!("photos_{pod}_uid-of-{pod}/irmgard"));
        fs::create_dir_all(&directory).unwrap();
        Self {
            file: Self::file(&directory),
            directory,
            size: 0,
            rotated: 0,
            written: 0,
        }
    }

    fn file(directory: &Path) -> File {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(directory.join("0.log"));
        file.unwrap()
    }

    fn line(&mut self, most: usize) {
        self.written += 1;
        // Distinct times, because equal lines with equal times have equal ids.
        let now = DateTime::from_timestamp_nanos(
            Utc::now().timestamp_nanos_opt().unwrap() / 1_000_000 * 1_000_000
                + i64::try_from(self.written % 1_000_000).unwrap(),
        );
        let time = now.to_rfc3339_opts(SecondsFormat::Nanos, true);
        let line = format!("{time} stdout F line {:06} {}\n", self.written, "x".repeat(200));
        self.file.write_all(line.as_bytes()).unwrap();
        self.size += line.len();
        if self.size > most {
            self.rotated += 1;
            let name = format!("0.log.20261122-{:06}", self.rotated);
            fs::rename(self.directory.join("0.log"), self.directory.join(name)).unwrap();
            self.file = Self::file(&self.directory);
            self.size = 0;
        }
    }
}

/// A running `logq import --follow`; killed on drop.
struct Importer(Child, PathBuf);

impl Importer {
    fn start(url: &str, pods: &Path) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_logq"))
            .args(["import", "--follow"])
            .arg(pods)
            .env("LOGQ_OPENSEARCH_URL", url)
            .stderr(File::create(pods.with_extension("said")).unwrap())
            .spawn();
        Self(child.unwrap(), pods.with_extension("said"))
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        kill(pid, signal).unwrap();
    }

    /// Ends the process; returns the exit status and the messages.
    fn end(mut self, signal: Signal) -> (Option<i32>, String) {
        self.signal(signal);
        let code = self.0.wait().unwrap().code();
        (code, self.stderr_lines())
    }

    fn stderr_lines(&self) -> String {
        fs::read_to_string(&self.1).unwrap()
    }
}

impl Drop for Importer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn stored(store: &LogStore) -> u64 {
    store.ask(Method::Post, "/logs-*/_refresh", None).await;
    store.count("logs-*", &json!({ "match_all": {} })).await
}

async fn wait_for(store: &LogStore, importer: &Importer, wanted: u64) {
    let end = Instant::now() + PATIENCE;
    loop {
        let stored = stored(store).await;
        if stored >= wanted {
            return;
        }
        assert!(
            Instant::now() < end,
            "{stored} of {wanted} lines: {}",
            importer.stderr_lines()
        );
        sleep(Duration::from_millis(500)).await;
    }
}

/// Checks that each line of each pod exists exactly once.
fn check(store: &LogStore, logs: &[RotatingLog]) {
    for (number, log) in logs.iter().enumerate() {
        let output = Command::new(env!("CARGO_BIN_EXE_logq"))
            .args([
                "--pod",
                &format!("irmgard-{number}"),
                "--fields",
                "message",
                "-o",
                "raw",
            ])
            .env("LOGQ_OPENSEARCH_URL", store.url())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let mut found: Vec<u64> = text
            .lines()
            .map(|line| line.split(' ').nth(1).unwrap().parse().unwrap())
            .collect();
        found.sort_unstable();
        let wanted: Vec<u64> = (1..=log.written).collect();
        assert!(
            found == wanted,
            "irmgard-{number}: {} of {}",
            found.len(),
            wanted.len()
        );
    }
}

async fn load(logs: &mut [RotatingLog], rounds: usize, most: usize) {
    for _ in 0..rounds {
        for log in &mut *logs {
            for _ in 0..LINES {
                log.line(most);
            }
        }
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn kills_outages_and_rotation_neither_lose_nor_duplicate_lines() {
    let Some(store) = LogStore::empty("logq import --follow").await else {
        return;
    };
    store.bootstrap().await;
    let network = FaultProxy::start(store.url()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let pods = folder.path().join("pods");
    let mut logs: Vec<RotatingLog> = (0..3)
        .map(|number| RotatingLog::new(&pods, &format!("irmgard-{number}")))
        .collect();

    let mut importer = Importer::start(&network.url(), &pods);
    for _ in 0..3 {
        load(&mut logs, 40, 30_000).await;
        importer.end(Signal::SIGKILL);
        load(&mut logs, 10, 30_000).await;
        importer = Importer::start(&network.url(), &pods);
    }
    load(&mut logs, 20, 30_000).await;
    network.behave(Behaviour::Refuse).await;
    load(&mut logs, 20, 30_000).await;
    eventually("the importer reports the outage", async || {
        importer.stderr_lines().contains("; lines wait")
    })
    .await;
    network.restore().await;
    load(&mut logs, 20, 30_000).await;

    let wanted = logs.iter().map(|log| log.written).sum();
    wait_for(&store, &importer, wanted).await;
    assert_eq!(stored(&store).await, wanted);
    check(&store, &logs);
    assert!(logs.iter().all(|log| log.rotated > 5));

    // New lines arrive soon.
    let before = Instant::now();
    load(&mut logs, 1, 30_000).await;
    wait_for(&store, &importer, wanted + 3 * LINES).await;
    assert!(
        before.elapsed() < Duration::from_secs(10),
        "{:?}",
        before.elapsed()
    );

    let (code, stderr) = importer.end(Signal::SIGTERM);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(stderr.matches("; lines wait").count(), 1, "{stderr}");
    assert_eq!(
        stderr.matches("OpenSearch accepts lines again").count(),
        1,
        "{stderr}"
    );

    // A new process continues and reads no line again.
    let again = Importer::start(&network.url(), &pods);
    load(&mut logs, 1, 30_000).await;
    wait_for(&store, &again, wanted + 6 * LINES).await;
    let (_, stderr) = again.end(Signal::SIGTERM);
    assert!(
        stderr.contains("45 lines stored, 0 already in OpenSearch"),
        "{stderr}"
    );
}

#[tokio::test]
async fn unwritable_positions_file_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_logq"))
        .args(["import", "--follow", "--positions", "/nowhere/positions"])
        .arg(folder.path())
        .env("LOGQ_OPENSEARCH_URL", "http://127.0.0.1:1")
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("/nowhere/positions") && stderr.contains("--positions"),
        "{stderr}"
    );
}
