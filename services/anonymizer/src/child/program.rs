//! The worker's side of a child process.

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

/// No reply is longer: a JPEG of the largest photo that is allowed.
const MAX_REPLY_BYTES: u64 = 1 << 30;

/// What is looked at of the child's stderr, from its beginning.
const STDERR_BYTES: u64 = 64 << 10;

/// Longest panic message that is passed on, characters.
const PANIC_CHARS: usize = 240;

/// Not in `SignalKind`, as it cannot be handled.
const SIGKILL: i32 = 9;

/// How a child process is started.
#[derive(Clone, Debug)]
pub struct ChildProgram {
    /// The program; its command is `photo-process`.
    pub program: PathBuf,
    /// All that the child sees of the environment: it works on photos that
    /// have already ended a process, so it gets no credentials.
    pub environment: Vec<(OsString, OsString)>,
    /// A child that takes longer is killed, and has died.
    pub time_limit: Duration,
}

/// How a child process ended.
#[derive(Debug)]
pub enum Ended {
    /// It answered.
    Replied(Reply, Vec<u8>),
    /// It was ended from outside: by a person, or by the kernel because memory
    /// ran out. The child is the first to go then, whoever took the memory; its
    /// own share is limited otherwise.
    Killed(String),
    /// It died of the photo.
    Died(String),
}

impl ChildProgram {
    /// Gives a photo to a new child and waits for its end.
    ///
    /// The child is killed when the future is dropped.
    ///
    /// # Errors
    /// When no child can be started.
    pub async fn run(&self, request: &Request, photo: &[u8]) -> io::Result<Ended> {
        let header = protocol::header_bytes(request)?;
        let mut child = Command::new(&self.program)
            .arg(super::COMMAND)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            // A backtrace says nothing to whoever reads why a photo failed.
            .env("RUST_BACKTRACE", "0")
            .current_dir("/")
            // Ctrl-C at a terminal is for the worker alone.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let talk = async {
            let give = async {
                if let Some(mut stdin) = stdin {
                    // A child that dies early closes its end: its status tells.
                    let _ = stdin.write_all(&header).await;
                    let _ = stdin.write_all(photo).await;
                    let _ = stdin.shutdown().await;
                }
            };
            let (reply, said, ()) = tokio::join!(read_reply(stdout), read_last_words(stderr), give);
            (reply, said, child.wait().await)
        };
        match tokio::time::timeout(self.time_limit, talk).await {
            Ok((reply, said, status)) => Ok(judge(status?, reply, said.as_deref())),
            Err(_) => {
                child.kill().await?;
                Ok(Ended::Died(format!("took longer than {:?}", self.time_limit)))
            }
        }
    }
}

/// What happened, and the child's own words if there are any.
fn with_words(how: &str, said: Option<&str>) -> String {
    match said {
        Some(said) => format!("{how}; {said}"),
        None => how.to_owned(),
    }
}

fn judge(status: ExitStatus, reply: Vec<u8>, said: Option<&str>) -> Ended {
    if status.success() {
        return match protocol::parse_reply(reply) {
            Some((reply, picture)) => Ended::Replied(reply, picture),
            None => Ended::Died(with_words("gave no whole reply", said)),
        };
    }
    let from_outside = [
        SIGKILL,
        SignalKind::terminate().as_raw_value(),
        SignalKind::interrupt().as_raw_value(),
        SignalKind::hangup().as_raw_value(),
    ];
    let how = match (status.signal(), status.code()) {
        (Some(signal), _) => format!("ended by signal {signal}"),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => "ended".to_owned(),
    };
    if status
        .signal()
        .is_some_and(|signal| from_outside.contains(&signal))
    {
        Ended::Killed(how)
    } else {
        Ended::Died(with_words(&how, said))
    }
}

async fn read_reply(stdout: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut reply = Vec::new();
    if let Some(stdout) = stdout {
        // A reply that breaks off is not complete, and found out by that.
        let _ = stdout.take(MAX_REPLY_BYTES).read_to_end(&mut reply).await;
    }
    reply
}

async fn read_last_words(stderr: Option<impl AsyncRead + Unpin>) -> Option<String> {
    let mut stderr = stderr?;
    let mut said = Vec::new();
    let _ = (&mut stderr).take(STDERR_BYTES).read_to_end(&mut said).await;
    // A child whose stderr nobody reads would wait for ever.
    let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    last_words(&String::from_utf8_lossy(&said))
}

/// The panic message, or what Rust says when there is no memory; not what
/// libraries say of themselves.
fn last_words(said: &str) -> Option<String> {
    let mut lines = said.lines().map(str::trim);
    let first = lines.find_map(|line| {
        let panic = line.find(" panicked at ").and_then(|at| line.get(at + 1..));
        panic.or_else(|| line.starts_with("memory allocation of ").then_some(line))
    })?;
    let more = lines.take_while(|line| !line.is_empty() && !is_trailer(line));
    let words = std::iter::once(first)
        .chain(more.filter(|_| first.ends_with(':')))
        .flat_map(str::split_whitespace)
        .collect::<Vec<_>>()
        .join(" ");
    Some(
        words
            .chars()
            .filter(|c| !c.is_control())
            .take(PANIC_CHARS)
            .collect(),
    )
}

/// What Rust says after a panic's message.
fn is_trailer(line: &str) -> bool {
    line.starts_with("note: ") || line == "stack backtrace:" || line.starts_with("thread '")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_a_child_says_the_panic_counts() {
        let panic =
            "libfoo: warning\n\nthread 'main' (17) panicked at src/a.rs:1:2:\nindex out of\n  bounds\u{1b}\n";
        let told = Some("panicked at src/a.rs:1:2: index out of bounds".to_owned());
        for behind in [
            "",
            "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n",
            "stack backtrace:\n   0: core::ops::Range<u32>, imaging::anonymize\n",
            "\nthread 'main' (17) panicked at src/b.rs:3:4:\nanother\n",
        ] {
            assert_eq!(last_words(&format!("{panic}{behind}")), told, "{behind}");
        }
        let memory = "memory allocation of 8 bytes failed";
        assert_eq!(
            last_words(&format!("{memory}\nstack backtrace:\n")).as_deref(),
            Some(memory)
        );
        for nothing in [
            "",
            "\n",
            "ange<u32>, imaging::picture\n  12: main",
            "libfoo: warning",
        ] {
            assert_eq!(last_words(nothing), None, "{nothing}");
        }
        let long = format!("thread 'x' panicked at a.rs:1:2:\n{}", "ä".repeat(10_000));
        assert_eq!(
            last_words(&long).map(|words| words.chars().count()),
            Some(PANIC_CHARS)
        );
    }
}
