//! A child process that ends when this process ends, however that happens.
//!
//! logq starts itself as a guard process between itself and the child. The guard waits for the end of its standard
//! input, a pipe whose other end only the parent holds. When the parent is gone, even after SIGKILL, the guard kills
//! its process group: the child and what it started, for example if `kubectl` is a script. The group is separate, so
//! Ctrl-C reaches only the parent, which may still need the child.

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

/// The first argument of the guard process.
const GUARD_ARGUMENT: &str = "--child-guard";

/// What the guard prints if it cannot start the child.
const SPAWN_FAILED: &str = "logq cannot start it: ";
const NOT_FOUND: &str = "the program does not exist";

const MAX_STDERR_BYTES: u64 = 16 * 1024;

/// Runs the guard process if the arguments ask for it; otherwise returns None.
pub fn run_child_guard(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip(1);
    if arguments.next()? != GUARD_ARGUMENT {
        return None;
    }
    let program = arguments.next()?;
    // Otherwise the kill would hit other processes.
    if getpgrp() != getpid() {
        return None;
    }
    thread::spawn(|| {
        // The parent writes nothing to the pipe.
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
            // There is no place to report a broken standard error.
            let _ = writeln!(io::stderr(), "{SPAWN_FAILED}{reason}");
            127
        }
    };
    Some(ExitCode::from(code))
}

/// The spawn error that the guard printed, if any.
pub fn spawn_error(stderr: &str) -> Option<io::Error> {
    let reason = stderr.trim().strip_prefix(SPAWN_FAILED)?;
    Some(match reason {
        NOT_FOUND => io::ErrorKind::NotFound.into(),
        other => io::Error::other(other.to_owned()),
    })
}

/// A running child process. Dropping it kills the whole process group.
#[derive(Debug)]
pub struct ChildGuard {
    child: Child,
    stderr: File,
}

impl ChildGuard {
    /// Starts the child; returns its standard output, too.
    pub fn start(program: &Path, arguments: &[OsString]) -> io::Result<(Self, ChildStdout)> {
        let stderr = tempfile::tempfile()?;
        let mut child = Command::new(current_program()?)
            .arg0("logq")
            .args([OsStr::new(GUARD_ARGUMENT), program.as_os_str()])
            .args(arguments)
            // logq parses the messages.
            .env("LC_ALL", "C")
            .env_remove("LANGUAGE")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr.try_clone()?)
            .spawn()?;
        let output = child.stdout.take();
        let guard = Self { child, stderr };
        let output = output.ok_or_else(|| io::Error::other("it has no standard output"))?;
        Ok((guard, output))
    }

    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// What the child printed to standard error so far.
    pub fn stderr(&mut self) -> String {
        let mut stderr = Vec::new();
        let read = self
            .stderr
            .rewind()
            .and_then(|()| (&mut self.stderr).take(MAX_STDERR_BYTES).read_to_end(&mut stderr));
        match read {
            Ok(_) => String::from_utf8_lossy(&stderr).into_owned(),
            Err(error) => format!("cannot read its error messages: {error}"),
        }
    }
}

impl Drop for ChildGuard {
    fn drop(&mut self) {
        if self.has_ended() {
            return;
        }
        let group = Pid::from_raw(self.child.id().cast_signed());
        // It may have ended already.
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// This executable, even if its file was replaced.
fn current_program() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") {
        return Ok(PathBuf::from("/proc/self/exe"));
    }
    env::current_exe()
}
