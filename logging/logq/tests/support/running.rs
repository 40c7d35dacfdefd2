//! A running `logq --follow`.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// A test fails after this time without the expected event.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct OutputLines {
    all: Mutex<Vec<(Instant, String)>>,
    more: Condvar,
}

/// A running `logq --follow`; killed on drop.
pub struct RunningLogq {
    child: Child,
    out: Arc<OutputLines>,
    errors: Arc<OutputLines>,
}

/// `logq` with this OpenSearch and all times.
pub fn search_command(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logq"));
    command
        .args(arguments)
        .env("TZ", "UTC")
        .env("LOGQ_CONFIG", "")
        .env("LOGQ_SINCE", "all")
        .env("LOGQ_OPENSEARCH_URL", url);
    command
}

fn command(url: &str, arguments: &[&str]) -> Command {
    let mut command = search_command(url, arguments);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn following(url: &str, arguments: &[&str]) -> Command {
    command(url, &[&["--follow"], arguments].concat())
}

fn collect(source: impl Read + Send + 'static) -> Arc<OutputLines> {
    let lines = Arc::new(OutputLines::default());
    let own = Arc::clone(&lines);
    thread::spawn(move || {
        for line in BufReader::new(source).lines().map_while(Result::ok) {
            own.all.lock().unwrap().push((Instant::now(), line));
            own.more.notify_all();
        }
    });
    lines
}

impl OutputLines {
    fn wait(&self, what: &str, beside: &Self, holds: impl Fn(&[(Instant, String)]) -> bool) {
        let until = Instant::now() + PATIENCE;
        let mut all = self.all.lock().unwrap();
        while !holds(&all) {
            let left = until.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "timeout while waiting for {what}: {all:?}, {:?}",
                beside.texts()
            );
            all = self.more.wait_timeout(all, left).unwrap().0;
        }
    }

    fn texts(&self) -> Vec<String> {
        let all = self.all.lock().unwrap();
        all.iter().map(|(_, line)| line.clone()).collect()
    }
}

impl RunningLogq {
    pub fn start(url: &str, arguments: &[&str]) -> Self {
        Self::start_with(url, arguments, |_| {})
    }

    /// The same with more environment variables.
    pub fn start_with(url: &str, arguments: &[&str], more: impl FnOnce(&mut Command)) -> Self {
        let mut command = following(url, arguments);
        more(&mut command);
        let mut child = command.spawn().unwrap();
        let out = collect(child.stdout.take().unwrap());
        let errors = collect(child.stderr.take().unwrap());
        Self { child, out, errors }
    }

    /// Follows standard input.
    pub fn piped(arguments: &[&str]) -> (Self, ChildStdin) {
        Self::with_pipe(&[&["--follow"], arguments].concat())
    }

    /// Reads standard input without following it.
    pub fn with_pipe(arguments: &[&str]) -> (Self, ChildStdin) {
        let mut child = command("http://127.0.0.1:1", arguments)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let out = collect(child.stdout.take().unwrap());
        let errors = collect(child.stderr.take().unwrap());
        (Self { child, out, errors }, input)
    }

    /// The same without a reader of its output.
    pub fn without_reader(url: &str, arguments: &[&str]) -> (Self, ChildStdout) {
        let mut child = following(url, arguments).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let errors = collect(child.stderr.take().unwrap());
        let out = Arc::default();
        (Self { child, out, errors }, stdout)
    }

    /// Waits for an output line with this text.
    pub fn wait_for(&self, text: &str) {
        self.out.wait(text, &self.errors, |lines| {
            lines.iter().any(|(_, line)| line.contains(text))
        });
    }

    /// Waits for this number of output lines.
    pub fn wait_for_lines(&self, lines: usize) {
        self.out.wait("lines", &self.errors, |all| all.len() >= lines);
    }

    /// Waits for this message on standard error.
    pub fn wait_for_message(&self, text: &str) {
        self.errors.wait(text, &self.out, |lines| {
            lines.iter().any(|(_, line)| line.contains(text))
        });
    }

    /// All output lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.out.texts()
    }

    /// The messages of the JSON lines so far.
    pub fn messages(&self) -> Vec<String> {
        messages(&self.lines())
    }

    /// When the line with this text appeared.
    pub fn time_of(&self, text: &str) -> Instant {
        self.wait_for(text);
        let all = self.out.all.lock().unwrap();
        all.iter().find(|(_, line)| line.contains(text)).unwrap().0
    }

    /// All messages so far.
    pub fn stderr_lines(&self) -> Vec<String> {
        self.errors.texts()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Whether logq handles SIGINT itself (`SigCgt` in proc_pid_status(5)).
    pub fn handles_interrupt(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let caught = status
            .lines()
            .find_map(|line| line.strip_prefix("SigCgt:"))
            .unwrap();
        let caught = u64::from_str_radix(caught.trim(), 16).unwrap();
        caught & (1 << (Signal::SIGINT as u64 - 1)) != 0
    }

    /// Sends SIGINT; returns the exit status and the time until the exit.
    pub fn interrupt(&mut self) -> (i32, Duration) {
        let start = Instant::now();
        self.signal(Signal::SIGINT);
        let code = self.wait_for_exit();
        (code, start.elapsed())
    }

    /// Waits for the exit; returns the status.
    pub fn wait_for_exit(&mut self) -> i32 {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // Waits for the reader threads, so that no output is missing.
                while Arc::strong_count(&self.errors) > 1 || Arc::strong_count(&self.out) > 1 {
                    thread::yield_now();
                }
                return status.code().unwrap_or(-1);
            }
            assert!(
                Instant::now() < until,
                "logq does not exit: {:?}",
                self.stderr_lines()
            );
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for RunningLogq {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The messages of JSON lines.
pub fn messages(lines: &[String]) -> Vec<String> {
    let lines = lines.iter().map(|line| {
        let document: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        document["message"].as_str().unwrap().to_owned()
    });
    lines.collect()
}
