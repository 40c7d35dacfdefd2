//! One supervised process.

use std::process::{Child, Command};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;
use super::identity::ProcessIdentity;
use super::program::{Lifetime, Program};
use super::{journal, spawner};
use crate::error::{Context, Result};

/// A process that can be started, ended in several ways, and started again.
///
/// The process ends when this value is dropped, unless it is [detached](Self::detach).
#[derive(Debug)]
pub struct Daemon {
    program: Program,
    /// The program's files at the start of the process.
    fingerprint: Fingerprint,
    identity: Option<ProcessIdentity>,
    child: Option<Child>,
    /// The process that writes its container log, if any.
    log_writer: Option<LogWriter>,
    detached: bool,
}

#[derive(Debug)]
struct LogWriter {
    identity: Option<ProcessIdentity>,
    child: Option<Child>,
}

/// A process in the record of the persistent stack.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DaemonRecord {
    pub program: Program,
    #[serde(default, rename = "origin")]
    fingerprint: Fingerprint,
    pub identity: Option<ProcessIdentity>,
    #[serde(rename = "writer")]
    log_writer: Option<ProcessIdentity>,
}

impl Daemon {
    /// A process that is not started yet.
    #[must_use]
    pub fn new(program: Program) -> Self {
        Self {
            program,
            fingerprint: Fingerprint::default(),
            identity: None,
            child: None,
            log_writer: None,
            detached: false,
        }
    }

    /// A process that an earlier program started and detached.
    pub(crate) fn from_record(record: DaemonRecord) -> Self {
        Self {
            program: record.program,
            fingerprint: record.fingerprint,
            identity: record.identity,
            child: None,
            log_writer: record.log_writer.map(|identity| LogWriter {
                identity: Some(identity),
                child: None,
            }),
            detached: true,
        }
    }

    /// The record for [`Self::from_record`].
    pub(crate) fn record(&self) -> DaemonRecord {
        DaemonRecord {
            program: self.program.clone(),
            fingerprint: self.fingerprint.clone(),
            identity: self.identity,
            log_writer: self.log_writer.as_ref().and_then(|writer| writer.identity),
        }
    }

    /// Lets the process run on when this value is dropped.
    pub fn detach(&mut self) {
        self.detached = true;
    }

    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The program, for changes before the next start.
    pub fn program_mut(&mut self) -> &mut Program {
        &mut self.program
    }

    /// The process, if it was started.
    #[must_use]
    pub fn identity(&self) -> Option<ProcessIdentity> {
        self.identity
    }

    #[must_use]
    pub fn alive(&self) -> bool {
        self.identity.is_some_and(|identity| identity.alive())
    }

    /// Whether the process and its log writer run.
    pub(crate) fn is_healthy(&self) -> bool {
        let runs = |writer: &LogWriter| writer.identity.is_some_and(|identity| identity.alive());
        self.alive() && self.log_writer.as_ref().is_none_or(runs)
    }

    /// Whether the process is [healthy](Self::is_healthy), and its executable and sources have not changed since its start.
    pub(crate) fn is_current(&self) -> bool {
        self.is_healthy() && self.fingerprint == Fingerprint::compute(&self.program)
    }

    /// Starts the process, unless it runs.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self) -> Result<()> {
        if self.alive() {
            return Ok(());
        }
        self.reap();
        self.fingerprint = Fingerprint::compute(&self.program);
        let (command, log_writer) = self.program.command()?;
        self.log_writer = match log_writer {
            Some(log_writer) => {
                let name = format!("{}{}", journal::LOG_WRITER_PREFIX, self.program.name);
                let (identity, child) = self.spawn(log_writer, &name)?;
                Some(LogWriter {
                    identity,
                    child: Some(child),
                })
            }
            None => None,
        };
        let (identity, child) = self.spawn(command, &self.program.name)?;
        self.identity = identity;
        self.child = Some(child);
        Ok(())
    }

    /// Starts a process. If it outlives this one, adds it to the journal at once.
    fn spawn(&self, command: Command, name: &str) -> Result<(Option<ProcessIdentity>, Child)> {
        let child = spawner::spawn(command)
            .context(|| format!("cannot start {}", self.program.executable.display()))?;
        let identity = ProcessIdentity::from_pid(i32::try_from(child.id()).unwrap_or_default());
        if let (Lifetime::Detached(journal), Some(identity)) = (&self.program.lifetime, identity) {
            journal::add(journal, &identity, name)?;
        }
        Ok((identity, child))
    }

    /// Sends a signal to the process, not to its descendants.
    pub fn signal(&self, signal: Signal) {
        if let Some(identity) = self.identity {
            identity.signal(signal);
        }
    }

    /// Stops the process and its descendants with `SIGSTOP`: connections stay open, but nothing answers.
    pub fn pause(&self) {
        if let Some(identity) = self.identity {
            identity.signal_tree(Signal::SIGSTOP);
        }
    }

    /// Continues the process after [`Self::pause`].
    pub fn resume(&self) {
        if let Some(identity) = self.identity {
            identity.signal_tree(Signal::SIGCONT);
        }
    }

    /// Kills the process and its descendants (`SIGKILL`) and waits until all have ended.
    ///
    /// # Errors
    /// [`Error::StillRunning`](crate::Error::StillRunning) when a process does not end.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(identity) = self.identity {
            identity.kill_tree(&self.program.name)?;
        }
        self.reap();
        Ok(())
    }

    /// Sends `signal`, waits, and kills the process after `limit`.
    ///
    /// # Errors
    /// [`Error::StillRunning`](crate::Error::StillRunning) when it does not end after that.
    pub fn stop(&mut self, signal: Signal, limit: Duration) -> Result<()> {
        if let Some(identity) = self.identity {
            identity.end(&self.program.name, signal, limit)?;
        }
        self.reap();
        Ok(())
    }

    /// The exit status, if this program started the process and it has ended by itself.
    pub fn exit_status(&mut self) -> Option<std::process::ExitStatus> {
        self.child.as_mut()?.try_wait().ok().flatten()
    }

    /// The last 30 lines of its standard output and error.
    #[must_use]
    pub fn tail(&self) -> String {
        tail(&self.program.output.read())
    }

    /// Waits for the ended child and its log writer. Without it the zombie would keep its ports until its last thread ends.
    fn reap(&mut self) {
        if let Some(child) = &mut self.child
            && child.wait().is_ok()
        {
            self.child = None;
        }
        // After this, the container log is complete.
        if let Some(writer) = &mut self.log_writer
            && let Some(child) = &mut writer.child
            && child.wait().is_ok()
        {
            writer.child = None;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.detached {
            return;
        }
        // A failure cannot be reported from here. The parent-death signal ends the process in that case.
        let _ = match &self.program.lifetime {
            // The program cleans up on this signal.
            Lifetime::WithParent(signal) if signal == "QUIT" => {
                self.stop(Signal::SIGQUIT, Duration::from_secs(5))
            }
            Lifetime::WithParent(_) => self.kill(),
            Lifetime::Detached(_) => self.stop(Signal::SIGINT, Duration::from_secs(5)),
        };
    }
}

/// The last 30 lines of a log. Invalid UTF-8 is replaced.
pub(crate) fn tail(log: &[u8]) -> String {
    let text = String::from_utf8_lossy(&log[log.len().saturating_sub(16 * 1024)..]).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
