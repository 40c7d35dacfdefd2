//! The worker's side of a child process: starts it, talks to it, and classifies its exit.

use std::{
    ffi::OsString,
    io,
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
    signal::unix::SignalKind,
};

use super::protocol::{self, Reply, Request};

/// Maximum size of a reply: larger than a JPEG of the largest permitted photo.
const MAX_REPLY_BYTES: u64 = 1 << 30;

/// How much of the child's stderr is searched for a panic message, from its beginning.
const MAX_STDERR_BYTES: u64 = 64 << 10;

/// Maximum length of a panic message, in characters.
const MAX_PANIC_CHARS: usize = 240;

/// `SignalKind` has no constant for it, because a process cannot handle SIGKILL.
const SIGKILL: i32 = 9;

/// How to start a child process.
#[derive(Clone, Debug)]
pub struct ChildProgram {
    /// The executable; it must have the command `photo-process`.
    pub program: PathBuf,
    /// The child's whole environment. It has no credentials, because the child processes
    /// photos that may have crashed a worker.
    pub environment: Vec<(OsString, OsString)>,
    /// A child that takes longer is killed; that counts as a crash.
    pub time_limit: Duration,
}

/// How a child process ended.
#[derive(Debug)]
pub enum ChildExit {
    /// The child sent a reply and a picture.
    Replied(Reply, Vec<u8>),
    /// The child was killed from outside: by a person, or by the kernel because memory ran out. The kernel kills the
    /// child first, even if other processes took the memory; the child's own memory has a limit.
    Killed(String),
    /// The child crashed on the photo.
    Crashed(String),
}

impl ChildProgram {
    /// Sends a photo to a new child process and waits until the child exits.
    ///
    /// Dropping the future kills the child.
    ///
    /// # Errors
    /// If no child can be started.
    pub async fn run(&self, request: &Request, photo: &[u8]) -> io::Result<ChildExit> {
        let header = protocol::encode_header(request)?;
        let mut child = Command::new(&self.program)
            .arg(super::COMMAND)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            // A backtrace does not help an operator who reads why a photo failed.
            .env("RUST_BACKTRACE", "0")
            .current_dir("/")
            // Ctrl-C in a terminal must reach the worker only.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let exchange = async {
            let send = async {
                if let Some(mut stdin) = stdin {
                    // A child that exits early closes the pipe; its exit status says why.
                    let _ = stdin.write_all(&header).await;
                    let _ = stdin.write_all(photo).await;
                    let _ = stdin.shutdown().await;
                }
            };
            let (reply, panic, ()) = tokio::join!(read_reply(stdout), read_panic_message(stderr), send);
            (reply, panic, child.wait().await)
        };
        match tokio::time::timeout(self.time_limit, exchange).await {
            Ok((reply, panic, status)) => Ok(classify_exit(status?, reply, panic.as_deref())),
            Err(_) => {
                child.kill().await?;
                Ok(ChildExit::Crashed(format!(
                    "took longer than {:?}",
                    self.time_limit
                )))
            }
        }
    }
}

fn classify_exit(status: ExitStatus, reply: Vec<u8>, panic: Option<&str>) -> ChildExit {
    if status.success() {
        return match protocol::parse_reply(reply) {
            Some((reply, picture)) => ChildExit::Replied(reply, picture),
            None => ChildExit::Crashed(with_panic("sent an incomplete reply", panic)),
        };
    }
    let signals_from_outside = [
        SIGKILL,
        SignalKind::terminate().as_raw_value(),
        SignalKind::interrupt().as_raw_value(),
        SignalKind::hangup().as_raw_value(),
    ];
    let cause = match (status.signal(), status.code()) {
        (Some(SIGKILL), _) => "killed by SIGKILL (often out of memory)".to_owned(),
        (Some(signal), _) => format!("killed by signal {signal}"),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => "ended".to_owned(),
    };
    if status
        .signal()
        .is_some_and(|signal| signals_from_outside.contains(&signal))
    {
        ChildExit::Killed(cause)
    } else {
        ChildExit::Crashed(with_panic(&cause, panic))
    }
}

/// Appends the panic message, if there is one.
fn with_panic(cause: &str, panic: Option<&str>) -> String {
    match panic {
        Some(panic) => format!("{cause}; {panic}"),
        None => cause.to_owned(),
    }
}

async fn read_reply(stdout: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut reply = Vec::new();
    if let Some(stdout) = stdout {
        // An error leaves an incomplete reply, which the parser rejects.
        let _ = stdout.take(MAX_REPLY_BYTES).read_to_end(&mut reply).await;
    }
    reply
}

async fn read_panic_message(stderr: Option<impl AsyncRead + Unpin>) -> Option<String> {
    let mut stderr = stderr?;
    let mut output = Vec::new();
    let _ = (&mut stderr)
        .take(MAX_STDERR_BYTES)
        .read_to_end(&mut output)
        .await;
    // Read the rest: a full pipe would block the child forever.
    let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    panic_message(&String::from_utf8_lossy(&output))
}

/// Finds a panic message, or Rust's message about a failed memory allocation, in the
/// output on stderr. Messages of libraries are ignored.
fn panic_message(stderr: &str) -> Option<String> {
    let mut lines = stderr.lines().map(str::trim);
    let first = lines.find_map(|line| {
        let panic = line.find(" panicked at ").and_then(|at| line.get(at + 1..));
        panic.or_else(|| line.starts_with("memory allocation of ").then_some(line))
    })?;
    let more = lines.take_while(|line| !line.is_empty() && !is_panic_trailer(line));
    let message = std::iter::once(first)
        .chain(more.filter(|_| first.ends_with(':')))
        .flat_map(str::split_whitespace)
        .collect::<Vec<_>>()
        .join(" ");
    Some(
        message
            .chars()
            .filter(|c| !c.is_control())
            .take(MAX_PANIC_CHARS)
            .collect(),
    )
}

/// Whether Rust prints this line after the panic message.
fn is_panic_trailer(line: &str) -> bool {
    line.starts_with("note: ") || line == "stack backtrace:" || line.starts_with("thread '")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_panic_message_is_extracted() {
        let panic =
            "libfoo: warning\n\nthread 'main' (17) panicked at src/a.rs:1:2:\nindex out of\n  bounds\u{1b}\n";
        let expected = Some("panicked at src/a.rs:1:2: index out of bounds".to_owned());
        for trailer in [
            "",
            "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n",
            "stack backtrace:\n   0: core::ops::Range<u32>, imaging::anonymize\n",
            "\nthread 'main' (17) panicked at src/b.rs:3:4:\nanother\n",
        ] {
            assert_eq!(panic_message(&format!("{panic}{trailer}")), expected, "{trailer}");
        }
        let memory = "memory allocation of 8 bytes failed";
        assert_eq!(
            panic_message(&format!("{memory}\nstack backtrace:\n")).as_deref(),
            Some(memory)
        );
        for unrelated in [
            "",
            "\n",
            "ange<u32>, imaging::picture\n  12: main",
            "libfoo: warning",
        ] {
            assert_eq!(panic_message(unrelated), None, "{unrelated}");
        }
        let long = format!("thread 'x' panicked at a.rs:1:2:\n{}", "ä".repeat(10_000));
        assert_eq!(
            panic_message(&long).map(|message| message.chars().count()),
            Some(MAX_PANIC_CHARS)
        );
    }
}
