//! A program that ends when this one ends, however that comes about.
//!
//! A process has a few lines of this program run between itself and the other one: they wait for the end of their
//! standard input, a pipe whose other end this process alone has. When it is gone, be it by a signal that nobody can
//! catch, everything of their process group is ended: the program, and what it has started (a `kubectl` that is a
//! script). The group is its own, so that Ctrl-C comes to this process alone, which may still need the other one.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read, Seek, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitCode, Stdio},
    thread,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::{Pid, getpgrp, getpid},
};

/// The first argument of the process in between.
const GUARD_ARGUMENT: &str = "--hold";

/// What that process says where it cannot start the program.
const SPAWN_FAILED: &str = "logq cannot start it: ";
const NOT_FOUND: &str = "there is no such program";

/// Most of what the program says that is read.
const MAX_STDERR_BYTES: u64 = 16 * 1024;

/// The process in between: runs the program that its arguments name; none where this process is none.
pub fn run_child_guard(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip(1);
    if arguments.next()? != GUARD_ARGUMENT {
        return None;
    }
    let program = arguments.next()?;
    // Else others would be ended with it.
    if getpgrp() != getpid() {
        return None;
    }
    thread::spawn(|| {
        // Nothing is ever written there.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = killpg(getpgrp(), Signal::SIGKILL);
    });
    let run = Command::new(&program)
        .args(arguments)
        .stdin(Stdio::null())
        .status();
    let code = match run {
        Ok(status) => status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(1),
        Err(error) => {
            let reason = match error.kind() {
                io::ErrorKind::NotFound => NOT_FOUND.to_owned(),
                _ => error.to_string(),
            };
            // Nobody can be told that standard error is gone.
            let _ = writeln!(io::stderr(), "{SPAWN_FAILED}{reason}");
            127
        }
    };
    Some(ExitCode::from(code))
}

/// Why the program was not started, if that is what was said.
pub fn spawn_error(stderr: &str) -> Option<io::Error> {
    let reason = stderr.trim().strip_prefix(SPAWN_FAILED)?;
    Some(match reason {
        NOT_FOUND => io::ErrorKind::NotFound.into(),
        other => io::Error::other(other.to_owned()),
    })
}

/// A program that runs, with what it has started. All of it is ended when this is forgotten.
#[derive(Debug)]
pub struct ChildGuard {
    child: Child,
    stderr: File,
}

impl ChildGuard {
    /// Starts it; also gives its output.
    pub fn start(program: &Path, arguments: &[OsString]) -> io::Result<(Self, ChildStdout)> {
        let stderr = tempfile::tempfile()?;
        let mut child = Command::new(current_program()?)
            .arg0("logq")
            .args([OsStr::new(GUARD_ARGUMENT), program.as_os_str()])
            .args(arguments)
            // What it says is read here.
            .env("LC_ALL", "C")
            .env_remove("LANGUAGE")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr.try_clone()?)
            .spawn()?;
        let output = child.stdout.take();
        let guard = Self { child, stderr };
        let output = output.ok_or_else(|| io::Error::other("it has no output"))?;
        Ok((guard, output))
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// What it has said on standard error so far.
    pub fn stderr(&mut self) -> String {
        let mut stderr = Vec::new();
        let read = self
            .stderr
            .rewind()
            .and_then(|()| (&mut self.stderr).take(MAX_STDERR_BYTES).read_to_end(&mut stderr));
        match read {
            Ok(_) => String::from_utf8_lossy(&stderr).into_owned(),
            Err(error) => format!("what it says cannot be read: {error}"),
        }
    }
}

impl Drop for ChildGuard {
    fn drop(&mut self) {
        if self.has_ended() {
            return;
        }
        let group = Pid::from_raw(self.child.id().cast_signed());
        // It may have ended just now.
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// This program, also where its file was replaced since it was started.
fn current_program() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") {
        return Ok(PathBuf::from("/proc/self/exe"));
    }
    env::current_exe()
}
