//! What a whole process does: its real standard output, its panics, its end.
//!
//! The test is a program of its own, because libtest writes to the standard
//! output that is looked at here: it starts itself once more for each case.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "in a test, a panic is how it fails"
)]

use std::{
    env,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use telemetry::Service;
use tracing::{info, info_span, warn};

const CHILD: &str = "TELEMETRY_TEST_CHILD";

fn main() -> ExitCode {
    if let Ok(case) = env::var(CHILD) {
        return child(&case);
    }
    let cases: [(&str, fn()); 7] = [
        ("one_write_for_each_line", one_write_for_each_line),
        ("a_reader_that_goes_away", a_reader_that_goes_away),
        ("a_closed_standard_output", a_closed_standard_output),
        ("a_panic_is_a_line", a_panic_is_a_line),
        ("a_panic_where_nothing_is_logged", a_panic_where_nothing_is_logged),
        ("a_collector_that_is_away", a_collector_that_is_away),
        ("set_up_twice_and_wrongly", set_up_twice_and_wrongly),
    ];
    let filter = env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let (mut passed, mut failed) = (0, 0);
    for (name, case) in cases {
        if filter
            .as_ref()
            .is_some_and(|filter| !name.contains(filter.as_str()))
        {
            continue;
        }
        let ok = std::panic::catch_unwind(case).is_ok();
        println!("test {name} ... {}", if ok { "ok" } else { "FAILED" });
        *if ok { &mut passed } else { &mut failed } += 1;
    }
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {result}. {passed} passed; {failed} failed; 0 ignored");
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn child(case: &str) -> ExitCode {
    let guard = match telemetry::init(Service::new("irmgard", "1.2.3")) {
        Ok(guard) => guard,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    match case {
        "lines" => {
            let threads: Vec<_> = (0..4)
                .map(|thread| {
                    std::thread::spawn(move || {
                        let text = "x".repeat(10_000);
                        for i in 0..500 {
                            info!(thread, i, text, "a long line");
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
        "panic" => {
            let _job = info_span!("job", photo.id = 17).entered();
            let caught = std::panic::catch_unwind(|| panic!("the model\nbroke"));
            assert!(caught.is_err());
            info!("still here");
        }
        "spans" => {
            for i in 0..3000 {
                info_span!("request", photo.id = i).in_scope(|| ());
            }
            // Several exports are tried, and fail, before the end.
            std::thread::sleep(Duration::from_millis(2500));
            for _ in 0..3000 {
                info_span!("request").in_scope(|| ());
            }
            warn!("ending");
        }
        "twice" => {
            let error = telemetry::init(Service::new("other", "1")).unwrap_err();
            info!(error.message = %error, "refused");
        }
        other => panic!("no case {other}"),
    }
    drop(guard);
    ExitCode::SUCCESS
}

fn command(case: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .env_clear()
        .env(CHILD, case)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

struct Ended {
    lines: Vec<Value>,
    stderr: String,
    code: Option<i32>,
}

fn run(case: &str, variables: &[(&str, &str)]) -> Ended {
    let output = command(case, variables).output().unwrap();
    let lines = output.stdout.lines().map(|line| {
        let line = line.unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
    });
    Ended {
        lines: lines.collect(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code(),
    }
}

/// 10 KB lines from four threads into a pipe, whose atomic writes end at 4 KiB.
fn one_write_for_each_line() {
    let ended = run("lines", &[]);
    assert_eq!(
        (ended.lines.len(), ended.code, &ended.stderr[..]),
        (2000, Some(0), "")
    );
}

fn a_reader_that_goes_away() {
    let mut child = command("lines", &[]).spawn().unwrap();
    let mut first = String::new();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut first).unwrap();
    drop(reader);
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((child.wait().unwrap().code(), &stderr[..]), (Some(0), ""));
}

fn a_closed_standard_output() {
    let program = env::current_exe().unwrap();
    let output = Command::new("sh")
        .args(["-c", "exec \"$0\" >&-", program.to_str().unwrap()])
        .env_clear()
        .env(CHILD, "lines")
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn a_panic_is_a_line() {
    let ended = run("panic", &[("RUST_BACKTRACE", "1")]);
    assert_eq!(ended.stderr, "");
    let line = &ended.lines[0];
    assert_eq!(line["level"], "error");
    assert_eq!(line["error"]["type"], "panic");
    assert_eq!(line["error"]["message"], "the model\nbroke");
    assert!(
        line["code"]["file"]["path"]
            .as_str()
            .unwrap()
            .ends_with("process.rs")
    );
    assert!(line["code"]["line"]["number"].is_u64());
    assert!(
        line["exception"]["stacktrace"]
            .as_str()
            .unwrap()
            .contains("process")
    );
    assert_eq!(line["photo"]["id"], 17);
    assert_eq!(line["trace_id"], ended.lines[1]["trace_id"]);
    assert_eq!(ended.lines[1]["message"], "still here");
    assert_eq!(run("panic", &[]).lines[0].get("exception"), None);
}

fn a_panic_where_nothing_is_logged() {
    let ended = run("panic", &[("RUST_LOG", "off")]);
    assert!(ended.lines.is_empty());
    assert!(ended.stderr.contains("the model"), "{}", ended.stderr);
}

/// Refused connections, and a server that accepts and never answers.
fn a_collector_that_is_away() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [silent.local_addr().unwrap(), dead] {
        let began = Instant::now();
        let ended = run(
            "spans",
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{address}")),
                ("OTEL_EXPORTER_OTLP_TIMEOUT", "600"),
                ("OTEL_BSP_SCHEDULE_DELAY", "500"),
            ],
        );
        // 2.5 s of work and at most 3 s for the last export.
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
        assert_eq!((ended.code, &ended.stderr[..]), (Some(0), ""));
        let of_traces = |line: &&Value| line["message"].as_str().unwrap().contains("traces");
        let warnings: Vec<_> = ended.lines.iter().filter(of_traces).collect();
        assert_eq!(warnings.len(), 1, "{:#?}", ended.lines);
        assert_eq!(warnings[0]["level"], "warn");
    }
}

fn set_up_twice_and_wrongly() {
    let ended = run("twice", &[]);
    assert_eq!(ended.lines[0]["error"]["message"], "logging is set up already");
    assert_eq!(ended.lines[0]["service"]["name"], "irmgard");
    let ended = run("twice", &[("RUST_LOG", "verbose"), ("LOG_FORMAT", "yaml")]);
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.contains("RUST_LOG") && ended.stderr.contains("LOG_FORMAT"),
        "{}",
        ended.stderr
    );
}
