//! Measures how fast logq reads files completely, filters and counts; compares with `grep -c`, `jq` and `hl` if
//! installed.
//!
//! `cargo bench -p logq --bench files -- [--json FILE] [--bytes NUMBER] [--folder FOLDER] [--rounds NUMBER]` writes
//! lines in the formats of our programs (default 1 GB) into a temporary file in the folder, then a tenth of that in
//! each of several formats of other programs. It prints a table for each file and writes the same numbers as JSON.
//! Each round measures every case once, so that other load affects all cases; the medians count. `BASELINE_LOGQ` names
//! another build of logq: its CPU time stands beside, with the ratio.

#![allow(clippy::panic, reason = "a benchmark fails with a panic")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

#[path = "support/case_times.rs"]
mod case_times;
#[path = "support/foreign.rs"]
mod foreign;
#[path = "support/lines.rs"]
mod lines;

use std::{
    error::Error,
    fs,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use case_times::CaseTimes;
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::{TimeVal, TimeValLike},
};
use serde_json::json;

/// Cases and their arguments.
const LOGQ: [(&str, &[&str]); 12] = [
    ("whole", &[]),
    ("whole, jsonl", &["-o", "jsonl"]),
    ("whole, raw", &["-o", "raw"]),
    ("stats", &["--stats"]),
    ("level", &["--level", "warn"]),
    ("field", &["-f", "photo.id=777"]),
    ("number", &["-f", "duration_seconds>5"]),
    (
        "time",
        &["--since", lines::A_SECOND, "--until", lines::THE_NEXT_SECOND],
    ),
    ("trace", &["--trace", lines::TRACE]),
    ("literal", &["--grep", lines::RARE]),
    ("regex", &["--grep", "time(d out|out)"]),
    ("any case", &["--grep", "(?i)POOL Timed"]),
];

/// Other programs for comparison. `hl` gets the conditions of the cases with these names.
const OTHERS: [(&str, &str, &[&str]); 5] = [
    ("hl", "hl", &["-P"]),
    ("hl, level", "hl", &["-P", "-l", "warn"]),
    ("hl, field", "hl", &["-P", "-f", FIELD]),
    ("grep", "grep", &["-c", lines::RARE]),
    (
        "jq",
        "jq",
        &["-c", "select(.level == \"warn\" or .level == \"error\")"],
    ),
];

/// Stands for the condition of the case `field`.
const FIELD: &str = "FIELD";

struct BenchArguments {
    json: Option<PathBuf>,
    bytes: u64,
    folder: PathBuf,
    rounds: usize,
    /// Another build of logq, measured in turns.
    baseline: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = arguments()?;
    let file = tempfile::Builder::new()
        .suffix(".jsonl")
        .tempfile_in(&arguments.folder)?;
    let mut out = BufWriter::new(file.as_file());
    let mut lines = lines::LineGenerator::new();
    let mut bytes = 0;
    while bytes < arguments.bytes {
        let line = lines.next_line();
        bytes += line.len() as u64;
        out.write_all(line.as_bytes())?;
    }
    out.flush()?;
    drop(out);

    let (rows, memory) = measure(&LOGQ, "photo.id=777", file.path(), &arguments)?;
    table("of 1 file", &rows, bytes, memory);
    drop(file);
    let mut shapes = Vec::new();
    for shape in foreign::SHAPES {
        let lines = shape.lines(usize::try_from(arguments.bytes / 10)?);
        let mut file = tempfile::Builder::new()
            .suffix(".jsonl")
            .tempfile_in(&arguments.folder)?;
        file.write_all(lines.as_bytes())?;
        let options = ["-f", shape.condition];
        let cases: [(&str, &[&str]); 3] = [
            ("whole", &[]),
            ("level", &["--level", "warn"]),
            ("field", &options),
        ];
        // logq keeps the members of other programs in `fields`, hl does not.
        let condition = shape.condition.trim_start_matches("fields.");
        let (rows, memory) = measure(&cases, condition, file.path(), &arguments)?;
        table(shape.name, &rows, lines.len() as u64, memory);
        shapes.push(json!({ "shape": shape.name, "bytes": lines.len(), "rows": figures(&rows) }));
    }
    if let Some(path) = arguments.json {
        let figures = json!({
            "bytes": bytes, "peak_kib": memory, "rows": figures(&rows), "foreign": shapes,
        });
        fs::write(path, serde_json::to_vec_pretty(&figures)?)?;
    }
    Ok(())
}

fn figures(rows: &[CaseTimes]) -> Vec<serde_json::Value> {
    let measured = |row: &CaseTimes| {
        json!({
            "name": row.name, "seconds": row.seconds, "median": row.median(), "cpu_seconds": row.median_cpu(),
            "baseline_cpu_seconds": row.median_baseline_cpu(),
        })
    };
    rows.iter().map(measured).collect()
}

/// Measures logq's cases and the other programs; also returns the peak memory in KiB. `condition`: of hl's case `field`.
fn measure(
    cases: &[(&'static str, &[&str])],
    condition: &str,
    file: &Path,
    arguments: &BenchArguments,
) -> Result<(Vec<CaseTimes>, i64), Box<dyn Error>> {
    let mut rows: Vec<CaseTimes> = cases.iter().map(|(name, _)| CaseTimes::new(name)).collect();
    let mut memory = 0;
    for _ in 0..arguments.rounds {
        for (row, (_, options)) in rows.iter_mut().zip(cases) {
            let mut command = Command::new(env!("CARGO_BIN_EXE_logq"));
            let (seconds, cpu) = seconds(command.args(*options), file)?;
            row.seconds.push(seconds);
            row.cpu.push(cpu);
            if let Some(baseline) = &arguments.baseline {
                let (_, cpu) = self::seconds(Command::new(baseline).args(*options), file)?;
                row.baseline_cpu.push(cpu);
            }
        }
        if memory == 0 {
            // In KiB: the maximum of all children so far.
            memory = getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss();
        }
        for (name, program, options) in OTHERS {
            let options = options
                .iter()
                .map(|option| if *option == FIELD { condition } else { option });
            let Ok((seconds, cpu)) = seconds(Command::new(program).args(options), file) else {
                continue;
            };
            if rows.iter().all(|row| row.name != name) {
                rows.push(CaseTimes::new(name));
            }
            if let Some(row) = rows.iter_mut().find(|row| row.name == name) {
                row.seconds.push(seconds);
                row.cpu.push(cpu);
            }
        }
    }
    Ok((rows, memory))
}

/// The CPU time of all ended children in seconds.
fn children_cpu() -> Result<f64, Box<dyn Error>> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds = |time: TimeVal| time.num_microseconds() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// Runs a program; returns the elapsed time and its CPU time. Discards its output, except for grep, which stops early if
/// its output is `/dev/null`.
fn seconds(command: &mut Command, file: &Path) -> Result<(f64, f64), Box<dyn Error>> {
    let is_grep = command.get_program() == "grep";
    let out = if is_grep { Stdio::piped() } else { Stdio::null() };
    command.arg(file).stdout(out).stderr(Stdio::inherit());
    let cpu = children_cpu()?;
    let begin = Instant::now();
    let output = command.output()?;
    let seconds = begin.elapsed().as_secs_f64();
    if output.status.code().is_none_or(|code| code > 1) {
        return Err(format!("{command:?}: {}", output.status).into());
    }
    Ok((seconds, children_cpu()? - cpu))
}

fn table(title: &str, rows: &[CaseTimes], bytes: u64, memory: i64) {
    let grep = rows.iter().find(|row| row.name == "grep").map(CaseTimes::median);
    println!(
        "{title:>14} {:>9} {:>9} {:>7} {:>9} {:>14} {:>8}",
        "seconds", "CPU s", "GB/s", "of grep", "baseline CPU s", "ratio"
    );
    for row in rows {
        let median = row.median();
        let baseline = row.median_baseline_cpu();
        println!(
            "{:>14} {median:>9.3} {:>9.3} {:>7.2} {:>9} {:>14} {:>8}",
            row.name,
            row.median_cpu(),
            bytes as f64 / 1e9 / median,
            grep.map_or_else(String::new, |grep| format!("{:.0} %", 100.0 * grep / median)),
            baseline.map_or_else(String::new, |baseline| format!("{baseline:.3}")),
            baseline.map_or_else(String::new, |baseline| format!(
                "{:.2}",
                row.median_cpu() / baseline
            )),
        );
    }
    println!(
        "{:.2} GB, at most {} MiB of memory",
        bytes as f64 / 1e9,
        memory / 1024
    );
}

fn arguments() -> Result<BenchArguments, Box<dyn Error>> {
    let mut read = BenchArguments {
        json: None,
        bytes: 1_000_000_000,
        folder: PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
        rounds: 5,
        baseline: std::env::var_os("BASELINE_LOGQ").map(PathBuf::from),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} takes a value"));
        match argument.as_str() {
            "--json" => read.json = Some(value()?.into()),
            "--bytes" => read.bytes = value()?.parse()?,
            "--folder" => read.folder = value()?.into(),
            "--rounds" => read.rounds = value()?.parse()?,
            "--bench" => {}
            other => return Err(format!("{other}: none of --json, --bytes, --folder, --rounds").into()),
        }
    }
    Ok(read)
}
