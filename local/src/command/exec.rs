//! `local exec`: runs a command inside a temporary stack.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};

use anyhow::Context;
use local::Stack;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use super::output::print_error;

/// Starts a stack, runs the command, ends the stack, and returns the command's exit code.
pub async fn run(command: &[OsString], with_opensearch: bool) -> anyhow::Result<ExitCode> {
    // From here on a signal ends the command first, so the stack always shuts down.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;

    let (program, arguments) = command.split_first().context("no command")?;
    let mut builder = Stack::builder();
    if with_opensearch {
        builder = builder.with_opensearch();
    }
    let stack = tokio::select! {
        stack = builder.start() => stack?,
        _ = interrupt.recv() => return Ok(ExitCode::from(130)),
        _ = terminate.recv() => return Ok(ExitCode::from(143)),
        _ = hangup.recv() => return Ok(ExitCode::from(129)),
    };
    if with_opensearch && let Err(reason) = stack.opensearch() {
        print_error(&reason);
    }
    let mut child = Command::new(program)
        .args(arguments)
        .envs(stack.environment())
        .envs(stack.child_environment())
        .env("LOCAL_PROGRAM", env::current_exe()?)
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let pid = child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .map(Pid::from_raw);
    let forward_signal = |signal| {
        if let Some(pid) = pid {
            // An error means that the command has ended.
            let _ = kill(pid, signal);
        }
    };
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            // The terminal sends Ctrl-C to the command itself.
            _ = interrupt.recv() => {}
            _ = terminate.recv() => forward_signal(Signal::SIGTERM),
            _ = hangup.recv() => forward_signal(Signal::SIGHUP),
        }
    };
    // Dropping kills the servers at once. That is safe: their files are temporary.
    drop(stack);
    Ok(exit_code(status))
}

/// The exit code as in a shell: 128 plus the signal's number when a signal ended the command.
fn exit_code(status: ExitStatus) -> ExitCode {
    let number = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    ExitCode::from(u8::try_from(number).unwrap_or(1))
}
