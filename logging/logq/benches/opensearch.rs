//! Measures how fast logq returns lines from OpenSearch: the first line, compared with curl; and all lines, compared
//! with fetching the same pages without parsing them.
//!
//! `local exec --with opensearch -- cargo bench -p logq --bench opensearch -- [--json FILE] [--lines NUMBER] [--rounds
//! NUMBER]` stores lines in the formats of our programs (default 200,000), prints a table and writes the same numbers
//! as JSON. Each round measures every case once; the medians count. Server and clients share the machine.

#![allow(clippy::panic, reason = "a benchmark fails with a panic")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

#[path = "support/case_times.rs"]
mod case_times;
#[path = "support/lines.rs"]
mod lines;

use std::{
    env,
    error::Error,
    fs,
    io::{BufWriter, Read, Write},
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use case_times::CaseTimes;
use logq::{
    admin::{self, Options},
    entry::Order,
    filter::Filter,
    opensearch::{Client, Method, OpenSearchSettings},
    source::opensearch::{page, streams},
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Cases and their arguments: all lines, then the first one.
const ALL: [(&str, &[&str]); 10] = [
    ("jsonl", &["-o", "jsonl"]),
    ("pretty", &["-o", "pretty"]),
    ("level", &["--level", "warn"]),
    (
        "time",
        &["--since", lines::A_SECOND, "--until", lines::THE_NEXT_SECOND],
    ),
    ("literal", &["--grep", lines::RARE]),
    ("photo", &["--photo", "777"]),
    ("stats", &["--stats"]),
    // OpenSearch cannot test this, so logq reads and counts each line.
    ("stats, read", &["--stats", "--grep", "."]),
    ("histogram", &["--histogram"]),
    ("top", &["--top", "trace_id"]),
];

struct BenchArguments {
    json: Option<PathBuf>,
    lines: u64,
    rounds: usize,
}

/// A measurement and the number of lines; 0 if the number does not matter.
struct Measured {
    row: CaseTimes,
    lines: u64,
}

impl Measured {
    const fn new(name: &'static str) -> Self {
        Self {
            row: CaseTimes::new(name),
            lines: 0,
        }
    }
}

fn main() -> Result<()> {
    let arguments = arguments()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let Some(access) = runtime.block_on(local::opensearch("logq's speed with OpenSearch"))? else {
        return Ok(());
    };
    let client = Client::new(&OpenSearchSettings::read(&|name| env::var(name).ok())?)?;
    runtime.block_on(admin::bootstrap(&client, Options::default(), &mut |_| Ok(())))?;
    let stored = store(&runtime, &client, arguments.lines)?;
    println!(
        "{} lines stored by logq import: {:.0} lines/s",
        arguments.lines,
        arguments.lines as f64 / stored
    );

    let mut first = ["first line, curl", "first line, logq"].map(Measured::new);
    let mut pages = Measured::new("pages alone");
    let mut all = ALL.map(|(name, _)| Measured::new(name));
    for _ in 0..arguments.rounds {
        let [curl, logq] = &mut first;
        curl.row.seconds.push(first_by_curl(&access.url)?);
        let (seconds, _) = run(&["--limit", "1", "-o", "jsonl"])?;
        logq.row.seconds.push(seconds);
        let (seconds, lines) = every_page(&runtime, &client, &access.url)?;
        pages.row.seconds.push(seconds);
        pages.lines = lines;
        for (measured, (_, options)) in all.iter_mut().zip(ALL) {
            let (seconds, lines) = run(options)?;
            measured.row.seconds.push(seconds);
            measured.lines = lines;
        }
    }
    table(&first, &pages, &all);
    if let Some(path) = arguments.json {
        let rows = first.iter().chain([&pages]).chain(&all);
        let measured = |Measured { row, lines }: &Measured| json!({ "name": row.name, "lines": lines, "seconds": row.seconds, "median": row.median() });
        let figures = json!({
            "lines": arguments.lines, "import_seconds": stored,
            "rows": rows.map(measured).collect::<Vec<_>>(),
        });
        fs::write(path, serde_json::to_vec_pretty(&figures)?)?;
    }
    Ok(())
}

/// Stores `number` lines; returns the time.
fn store(runtime: &Runtime, client: &Client, number: u64) -> Result<f64> {
    let file = tempfile::Builder::new()
        .suffix(".jsonl")
        .tempfile_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut out = BufWriter::new(file.as_file());
    let mut lines = lines::LineGenerator::new();
    for _ in 0..number {
        out.write_all(lines.next_line().as_bytes())?;
    }
    out.flush()?;
    drop(out);
    let begin = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_logq"))
        .arg("import")
        .arg(file.path())
        .output()?;
    let seconds = begin.elapsed().as_secs_f64();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let path = format!("/{}/_forcemerge", streams());
    let single = [("max_num_segments", "1")];
    runtime.block_on(client.ask("merge segments", Method::Post, &path, &single, None))?;
    let path = format!("/{}/_refresh", streams());
    runtime.block_on(client.ask("refresh", Method::Post, &path, &[], None))?;
    Ok(seconds)
}

/// The time that curl needs for the first line, including its start.
fn first_by_curl(url: &str) -> Result<f64> {
    let mut body = page(&Filter::EVERYTHING, Order::Forward);
    body["size"] = 1.into();
    // `_shard_doc` needs a point in time.
    if let Some(sort) = body["sort"].as_array_mut() {
        sort.truncate(1);
    }
    let url = format!("{}/{}/_search", url.trim_end_matches('/'), streams());
    let mut command = Command::new("curl");
    command.args([
        "-sSf",
        "-H",
        "Content-Type: application/json",
        "-d",
        &body.to_string(),
        &url,
    ]);
    let begin = Instant::now();
    let output = command.output()?;
    let seconds = begin.elapsed().as_secs_f64();
    if !output.status.success() || output.stdout.is_empty() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(seconds)
}

/// Runs logq and counts its lines; returns the time.
fn run(options: &[&str]) -> Result<(f64, u64)> {
    let begin = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_logq"))
        .args(options)
        .env("LOGQ_SINCE", "all")
        .stdout(Stdio::piped())
        .spawn()?;
    let mut out = child.stdout.take().ok_or("no output")?;
    let mut buffer = vec![0; 1 << 20];
    let mut lines = 0;
    loop {
        let read = out.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
    }
    let status = child.wait()?;
    let seconds = begin.elapsed().as_secs_f64();
    if status.code().is_none_or(|code| code > 1) {
        return Err(format!("logq {options:?}: {status}").into());
    }
    Ok((seconds, lines))
}

/// Requests every page as logq does; parses only the sort values of the last hit.
fn every_page(runtime: &Runtime, client: &Client, url: &str) -> Result<(f64, u64)> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("{}/_search", url.trim_end_matches('/'));
    let begin = Instant::now();
    let path = format!("/{}/_search/point_in_time", streams());
    let keep = [("keep_alive", "2m")];
    let moment = runtime.block_on(client.ask("hold a moment", Method::Post, &path, &keep, None))?;
    let mut body = page(&Filter::EVERYTHING, Order::Forward);
    body["pit"] = json!({ "id": moment["pit_id"], "keep_alive": "2m" });
    let mut lines = 0;
    loop {
        let request = http
            .post(&url)
            .header("content-type", "application/json")
            .body(body.to_string());
        let answer = runtime.block_on(async { request.send().await?.error_for_status()?.bytes().await })?;
        let sorts = memchr::memmem::find_iter(&answer, br#""sort":["#);
        let mut last = None;
        for at in sorts {
            lines += 1;
            last = Some(at);
        }
        let Some(at) = last else { break };
        let rest = answer.get(at + br#""sort":"#.len()..).unwrap_or_default();
        let after = serde_json::Deserializer::from_slice(rest)
            .into_iter::<Value>()
            .next();
        body["search_after"] = after.ok_or("no place to go on from")??;
    }
    Ok((begin.elapsed().as_secs_f64(), lines))
}

fn table(first: &[Measured], pages: &Measured, all: &[Measured]) {
    for Measured { row, .. } in first {
        println!("{:>18} {:>9.1} ms", row.name, 1e3 * row.median());
    }
    println!("{:>18} {:>9} {:>9} {:>9}", "", "seconds", "lines", "lines/s");
    for Measured { row, lines } in [pages].into_iter().chain(all) {
        let median = row.median();
        println!(
            "{:>18} {median:>9.3} {:>9} {:>9.0}",
            row.name,
            lines,
            *lines as f64 / median
        );
    }
}

fn arguments() -> Result<BenchArguments> {
    let mut read = BenchArguments {
        json: None,
        lines: 200_000,
        rounds: 5,
    };
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} takes a value"));
        match argument.as_str() {
            "--json" => read.json = Some(value()?.into()),
            "--lines" => read.lines = value()?.parse()?,
            "--rounds" => read.rounds = value()?.parse()?,
            "--bench" => {}
            other => return Err(format!("{other}: none of --json, --lines, --rounds").into()),
        }
    }
    Ok(read)
}
