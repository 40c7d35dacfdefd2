//! Measures how fast logq reads files completely, filters and counts; compares with `grep -c` and `jq` if installed.
//!
//! `cargo bench -p logq --bench files -- [--json FILE] [--bytes NUMBER] [--folder FOLDER] [--rounds NUMBER]` writes
//! lines in the formats of our programs (default 1 GB) into a temporary file in the folder. It prints a table and
//! writes the same numbers as JSON. Each round measures every case once, so that other load affects all cases; the
//! medians count.

#![allow(clippy::panic, reason = "a benchmark fails with a panic")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

#[path = "support/lines.rs"]
mod lines;
#[path = "support/row.rs"]
mod row;

use std::{
    error::Error,
    fs,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use nix::sys::resource::{UsageWho, getrusage};
use row::Row;
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

/// Other programs for comparison.
const OTHERS: [(&str, &[&str]); 2] = [
    ("grep", &["-c", lines::RARE]),
    ("jq", &["-c", "select(.level == \"warn\" or .level == \"error\")"]),
];

struct Arguments {
    json: Option<PathBuf>,
    bytes: u64,
    folder: PathBuf,
    rounds: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = arguments()?;
    let file = tempfile::Builder::new()
        .suffix(".jsonl")
        .tempfile_in(&arguments.folder)?;
    let mut out = BufWriter::new(file.as_file());
    let mut lines = lines::Lines::new();
    let mut bytes = 0;
    while bytes < arguments.bytes {
        let line = lines.next_line();
        bytes += line.len() as u64;
        out.write_all(line.as_bytes())?;
    }
    out.flush()?;
    drop(out);

    let mut rows: Vec<Row> = LOGQ.iter().map(|(name, _)| Row::new(name)).collect();
    let mut memory = 0;
    for _ in 0..arguments.rounds {
        for (row, (_, options)) in rows.iter_mut().zip(LOGQ) {
            let mut command = Command::new(env!("CARGO_BIN_EXE_logq"));
            row.seconds.push(seconds(command.args(options), file.path())?);
        }
        if memory == 0 {
            // In KiB: the maximum of all children so far.
            memory = getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss();
        }
        for (program, options) in OTHERS {
            let Ok(seconds) = seconds(Command::new(program).args(options), file.path()) else {
                continue;
            };
            match rows.iter_mut().find(|row| row.name == program) {
                Some(row) => row.seconds.push(seconds),
                None => rows.push(Row {
                    seconds: vec![seconds],
                    ..Row::new(program)
                }),
            }
        }
    }
    table(&rows, bytes, memory);
    if let Some(path) = arguments.json {
        let measured =
            |row: &Row| json!({ "name": row.name, "seconds": row.seconds, "median": row.median() });
        let figures = json!({
            "bytes": bytes, "peak_kib": memory, "rows": rows.iter().map(measured).collect::<Vec<_>>(),
        });
        fs::write(path, serde_json::to_vec_pretty(&figures)?)?;
    }
    Ok(())
}

/// Runs a program and returns the time. Discards its output, except for grep, which stops early if its output is
/// `/dev/null`.
fn seconds(command: &mut Command, file: &Path) -> Result<f64, Box<dyn Error>> {
    let is_grep = command.get_program() == "grep";
    let out = if is_grep { Stdio::piped() } else { Stdio::null() };
    command.arg(file).stdout(out).stderr(Stdio::inherit());
    let begin = Instant::now();
    let output = command.output()?;
    let seconds = begin.elapsed().as_secs_f64();
    if output.status.code().is_none_or(|code| code > 1) {
        return Err(format!("{command:?}: {}", output.status).into());
    }
    Ok(seconds)
}

fn table(rows: &[Row], bytes: u64, memory: i64) {
    let grep = rows.iter().find(|row| row.name == "grep").map(Row::median);
    println!(
        "{:>14} {:>9} {:>7} {:>9}",
        "of 1 file", "seconds", "GB/s", "of grep"
    );
    for row in rows {
        let median = row.median();
        println!(
            "{:>14} {median:>9.3} {:>7.2} {:>9}",
            row.name,
            bytes as f64 / 1e9 / median,
            grep.map_or_else(String::new, |grep| format!("{:.0} %", 100.0 * grep / median)),
        );
    }
    println!(
        "{:.2} GB, at most {} MiB of memory",
        bytes as f64 / 1e9,
        memory / 1024
    );
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut read = Arguments {
        json: None,
        bytes: 1_000_000_000,
        folder: PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
        rounds: 5,
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
