//! The worker's side of a child process.

use std::{
    collections::VecDeque,
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

/// What is kept of the end of the child's stderr.
const STDERR_BYTES: usize = 2048;

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
    /// It was ended from outside, as an operator or a terminal would.
    Interrupted(String),
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
            let (reply, said, ()) = tokio::join!(read_reply(stdout), read_tail(stderr), give);
            (reply, said, child.wait().await)
        };
        match tokio::time::timeout(self.time_limit, talk).await {
            Ok((reply, said, status)) => Ok(judge(status?, reply, &said)),
            Err(_) => {
                child.kill().await?;
                Ok(Ended::Died(format!("took longer than {:?}", self.time_limit)))
            }
        }
    }
}

fn judge(status: ExitStatus, reply: Vec<u8>, said: &str) -> Ended {
    if status.success() {
        return match protocol::parse_reply(reply) {
            Some((reply, picture)) => Ended::Replied(reply, picture),
            None => Ended::Died(format!("gave no whole reply; {said}")),
        };
    }
    let from_outside = [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
    ]
    .map(|kind| kind.as_raw_value());
    let how = match (status.signal(), status.code()) {
        (Some(signal), _) => format!("ended by signal {signal}"),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => "ended".to_owned(),
    };
    if status
        .signal()
        .is_some_and(|signal| from_outside.contains(&signal))
    {
        Ended::Interrupted(how)
    } else {
        Ended::Died(format!("{how}; {said}"))
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

/// The end of what the child said on stderr, in one line.
async fn read_tail(stderr: Option<impl AsyncRead + Unpin>) -> String {
    let mut tail = VecDeque::with_capacity(STDERR_BYTES);
    let mut chunk = [0; 1024];
    if let Some(mut stderr) = stderr {
        while let Ok(length @ 1..) = stderr.read(&mut chunk).await {
            tail.extend(chunk.iter().take(length));
            let excess = tail.len().saturating_sub(STDERR_BYTES);
            tail.drain(..excess);
        }
    }
    let text = String::from_utf8_lossy(tail.make_contiguous());
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
