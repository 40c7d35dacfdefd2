//! Lines per second through Fluentd: to a receiver that only stores them, and to a real OpenSearch if there is one.
//!
//! `local exec --with opensearch -- cargo bench -p fluentd --bench lines --
//! [--json FILE] [--lines NUMBER] [--rounds NUMBER]` writes lines like our programs' (default: 50,000) into a log file like
//! the kubelet's. It prints a table of medians, and writes the same figures as JSON. The receiver shares the machine.

#![allow(clippy::panic, reason = "a benchmark ends by panicking where a test does")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

#[path = "../../logging/logq/benches/support/lines.rs"]
mod lines;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};
use fluentd::kubelet::KubeletLog;
use fluentd::process::{self, Fluentd};
use fluentd::servers::Servers;
use local::OpenSearchAccess;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// Limit of one round.
const TIMEOUT: Duration = Duration::from_secs(180);

/// A pod of `golden/pods.json`.
const POD: &str = "photos_irmgard-6d5f7c9b8-x2x1z_00000001-0000-4000-8000-000000000001";

/// The unit of `/proc/<pid>/stat`, proc(5): a hundredth of a second on Linux.
const TICKS_A_SECOND: f64 = 100.0;

struct BenchArguments {
    json: Option<PathBuf>,
    lines: usize,
    rounds: usize,
}

/// The receiver of the lines.
enum Receiver {
    /// The tests' own server.
    Memory,
    /// A real OpenSearch.
    OpenSearch(OpenSearchAccess),
}

impl Receiver {
    const fn name(&self) -> &'static str {
        match self {
            Self::Memory => "to a receiver that only keeps them",
            Self::OpenSearch(_) => "to OpenSearch",
        }
    }
}

/// The figures of one round.
#[derive(Clone, Copy)]
struct Round {
    lines_a_second: f64,
    lines_a_cpu_second: f64,
    memory_mib: f64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = arguments()?;
    let Some(executable) = process::executable_for("Fluentd's speed") else {
        return Ok(());
    };
    let mut receivers = vec![Receiver::Memory];
    if let Some(access) = local::opensearch("Fluentd's speed with OpenSearch").await? {
        bootstrap()?;
        receivers.push(Receiver::OpenSearch(access));
    }
    let mut rounds: Vec<Vec<Round>> = receivers.iter().map(|_| Vec::new()).collect();
    // New lines in each round: equal lines have equal ids, and are stored once.
    let mut lines = lines::LineGenerator::new();
    for _ in 0..arguments.rounds {
        for (receiver, rounds) in receivers.iter().zip(&mut rounds) {
            rounds.push(round(executable.clone(), receiver, &mut lines, arguments.lines).await?);
        }
    }
    let mut rows = Vec::new();
    println!(
        "{:<36} {:>10} {:>14} {:>8}",
        "lines of Fluentd", "lines/s", "lines/CPU s", "MiB"
    );
    for (receiver, rounds) in receivers.iter().zip(&rounds) {
        let [speed, work, memory] = [
            median(rounds, |round| round.lines_a_second),
            median(rounds, |round| round.lines_a_cpu_second),
            median(rounds, |round| round.memory_mib),
        ];
        println!("{:<36} {speed:>10.0} {work:>14.0} {memory:>8.0}", receiver.name());
        rows.push(json!({
            "receiver": receiver.name(), "lines": arguments.lines, "rounds": rounds.len(),
            "lines_per_second": speed, "lines_per_cpu_second": work, "memory_mib": memory,
        }));
    }
    if let Some(path) = &arguments.json {
        fs::write(path, serde_json::to_vec_pretty(&rows)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Measures from the first line written until the last is stored.
async fn round(
    executable: PathBuf,
    receiver: &Receiver,
    lines: &mut lines::LineGenerator,
    count: usize,
) -> Result<Round> {
    let logs = TempDir::new()?;
    let servers = Servers::start(&fluentd::folder().join("golden/pods.json")).await?;
    let mut fluentd = Fluentd::new(executable, logs.path(), servers.address())?;
    let before = match receiver {
        Receiver::Memory => 0,
        Receiver::OpenSearch(access) => {
            fluentd.set("FLUENT_OPENSEARCH_HOSTS", &access.url);
            stored(access).await?
        }
    };
    fluentd.start().await?;
    let pid = fluentd.pid().context("Fluentd does not run")?;
    let worked = cpu_seconds(pid)?;
    let mut log = KubeletLog::new(logs.path(), POD, "irmgard")?;
    let begin = Instant::now();
    for _ in 0..count {
        log.line(lines.next_line().trim_end())?;
    }
    loop {
        let now = match receiver {
            Receiver::Memory => servers.count(),
            Receiver::OpenSearch(access) => stored(access).await? - before,
        };
        if now >= count {
            break;
        }
        ensure!(
            begin.elapsed() < TIMEOUT,
            "{now} of {count} lines were stored after {TIMEOUT:?}:\n{}",
            fluentd.output()
        );
        sleep(Duration::from_millis(50)).await;
    }
    let seconds = begin.elapsed().as_secs_f64();
    Ok(Round {
        lines_a_second: count as f64 / seconds,
        lines_a_cpu_second: count as f64 / (cpu_seconds(pid)? - worked),
        memory_mib: peak_memory_mib(pid)?,
    })
}

/// Creates the templates, as in a cluster.
fn bootstrap() -> Result<()> {
    let status = Command::new(local::program("logq")?)
        .args(["admin", "bootstrap"])
        .env("LOGQ_CONFIG", "")
        .output()?;
    ensure!(
        status.status.success(),
        "logq admin bootstrap: {}",
        String::from_utf8_lossy(&status.stderr)
    );
    Ok(())
}

/// The number of lines in OpenSearch.
async fn stored(access: &OpenSearchAccess) -> Result<usize> {
    let url = format!("{}/logs-*/_count?ignore_unavailable=true", access.url);
    let client = reqwest::Client::builder().no_proxy().build()?;
    // `_count` counts searchable lines only.
    client
        .post(format!("{}/logs-*/_refresh", access.url))
        .send()
        .await?
        .error_for_status()?;
    let answer: Value = client.get(url).send().await?.error_for_status()?.json().await?;
    let count = answer["count"].as_u64().context("_count gives no count")?;
    Ok(usize::try_from(count)?)
}

fn cpu_seconds(pid: i32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in brackets, may contain anything.
    let (_, rest) = stat.rsplit_once(") ").context("/proc/<pid>/stat")?;
    let ticks: f64 = rest
        .split(' ')
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum();
    Ok(ticks / TICKS_A_SECOND)
}

fn peak_memory_mib(pid: i32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    let kib: f64 = peak.context("no VmHWM in /proc/<pid>/status")?.parse()?;
    Ok(kib / 1024.0)
}

fn median(rounds: &[Round], of: impl Fn(&Round) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn arguments() -> Result<BenchArguments> {
    let mut arguments = BenchArguments {
        json: None,
        lines: 50_000,
        rounds: 3,
    };
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value"));
        match word.as_str() {
            "--json" => arguments.json = Some(value()?.into()),
            "--lines" => arguments.lines = value()?.parse().context("--lines")?,
            "--rounds" => arguments.rounds = value()?.parse().context("--rounds")?,
            // What cargo adds.
            "--bench" => {}
            other => bail!("{other} is no argument of this benchmark"),
        }
    }
    Ok(arguments)
}
