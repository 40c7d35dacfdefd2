//! One supervised process.

use std::process::{Child, Command};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::{Identity, Lifetime, Program, journal, origin::Origin, spawner};
use crate::error::{Context, Result};

/// A process that can be started, ended in several ways, and started again.
///
/// It is ended when this value is dropped, unless it was [kept](Self::keep).
#[derive(Debug)]
pub struct Daemon {
    program: Program,
    /// What it was started from.
    origin: Origin,
    identity: Option<Identity>,
    child: Option<Child>,
    /// What writes its log, where that is a process of its own.
    writer: Option<Writer>,
    kept: bool,
}

#[derive(Debug)]
struct Writer {
    identity: Option<Identity>,
    child: Option<Child>,
}

/// What is written down about a process, so that a later program can find it again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DaemonRecord {
    /// How it is started.
    pub program: Program,
    #[serde(default)]
    origin: Origin,
    /// Which process it is.
    pub identity: Option<Identity>,
    /// Which process writes its log.
    pub writer: Option<Identity>,
}

impl Daemon {
    /// A process that does not run yet.
    #[must_use]
    pub fn new(program: Program) -> Self {
        Self {
            program,
            origin: Origin::default(),
            identity: None,
            child: None,
            writer: None,
            kept: false,
        }
    }

    /// A process that was started by an earlier program, and goes on when this one ends.
    pub(crate) fn found(record: DaemonRecord) -> Self {
        Self {
            program: record.program,
            origin: record.origin,
            identity: record.identity,
            child: None,
            writer: record.writer.map(|identity| Writer {
                identity: Some(identity),
                child: None,
            }),
            kept: true,
        }
    }

    /// How a later program finds it.
    pub(crate) fn record(&self) -> DaemonRecord {
        DaemonRecord {
            program: self.program.clone(),
            origin: self.origin.clone(),
            identity: self.identity,
            writer: self.writer.as_ref().and_then(|writer| writer.identity),
        }
    }

    /// Lets it go on when this value is dropped.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    /// How it is started.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// How it is started, to be changed before the next start.
    pub fn program_mut(&mut self) -> &mut Program {
        &mut self.program
    }

    /// Which process it is, if it was started.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// Whether it runs.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.identity.is_some_and(|identity| identity.alive())
    }

    /// Whether it runs, and what it writes is kept.
    pub(crate) fn is_well(&self) -> bool {
        let heard = |writer: &Writer| writer.identity.is_some_and(|identity| identity.alive());
        self.alive() && self.writer.as_ref().is_none_or(heard)
    }

    /// Whether it [is well](Self::is_well), and its executable and sources are those that it was started from.
    pub(crate) fn is_current(&self) -> bool {
        self.is_well() && self.origin == Origin::of(&self.program)
    }

    /// Starts it, unless it runs.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self) -> Result<()> {
        if self.alive() {
            return Ok(());
        }
        self.reap();
        self.origin = Origin::of(&self.program);
        let (command, writer) = self.program.command()?;
        self.writer = match writer {
            Some(writer) => {
                let name = format!("{}{}", journal::WRITER, self.program.name);
                let (identity, child) = self.spawn(writer, &name)?;
                Some(Writer {
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

    /// Starts a process, which is listed at once where it outlives this one.
    fn spawn(&self, command: Command, name: &str) -> Result<(Option<Identity>, Child)> {
        let child = spawner::spawn(command)
            .context(|| format!("cannot start {}", self.program.executable.display()))?;
        let identity = Identity::of(i32::try_from(child.id()).unwrap_or_default());
        if let (Lifetime::Detached(journal), Some(identity)) = (&self.program.lifetime, identity) {
            journal::add(journal, &identity, name)?;
        }
        Ok((identity, child))
    }

    /// Sends a signal to it alone.
    pub fn signal(&self, signal: Signal) {
        if let Some(identity) = self.identity {
            identity.signal(signal);
        }
    }

    /// Halts it and everything it has started (`SIGSTOP`): connections stay open and nothing answers.
    pub fn pause(&self) {
        if let Some(identity) = self.identity {
            identity.signal_family(Signal::SIGSTOP);
        }
    }

    /// Lets it go on after [`Self::pause`].
    pub fn resume(&self) {
        if let Some(identity) = self.identity {
            identity.signal_family(Signal::SIGCONT);
        }
    }

    /// Ends it and everything it has started at once (`SIGKILL`) and waits until all are gone.
    ///
    /// # Errors
    /// [`Error::Immortal`](crate::Error::Immortal) when a process does not go away.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(identity) = self.identity {
            identity.kill(&self.program.name)?;
        }
        self.reap();
        Ok(())
    }

    /// Asks it to end, waits, and ends it by force when it has not after `patience`.
    ///
    /// # Errors
    /// [`Error::Immortal`](crate::Error::Immortal) when even force does not help.
    pub fn stop(&mut self, signal: Signal, patience: Duration) -> Result<()> {
        if let Some(identity) = self.identity {
            identity.end(&self.program.name, signal, patience)?;
        }
        self.reap();
        Ok(())
    }

    /// The exit status, once it has ended by itself and was started by this program.
    pub fn exit_status(&mut self) -> Option<std::process::ExitStatus> {
        self.child.as_mut()?.try_wait().ok().flatten()
    }

    /// The last lines that it wrote to its standard output and error.
    #[must_use]
    pub fn tail(&self) -> String {
        tail(&self.program.output.read())
    }

    /// Takes the exit status of an ended child, so that no zombie stays.
    /// Waits for what has been ended: a process whose first thread is a zombie keeps its ports until its last thread is gone.
    fn reap(&mut self) {
        if let Some(child) = &mut self.child
            && child.wait().is_ok()
        {
            self.child = None;
        }
        // All that has been printed is written then.
        if let Some(writer) = &mut self.writer
            && let Some(child) = &mut writer.child
            && child.wait().is_ok()
        {
            writer.child = None;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        // A failure here has nobody to go to, and the process's parent-death signal is the net below.
        let _ = match &self.program.lifetime {
            // The program asks for this signal because it tidies up on it.
            Lifetime::WithParent(signal) if signal == "QUIT" => {
                self.stop(Signal::SIGQUIT, Duration::from_secs(5))
            }
            Lifetime::WithParent(_) => self.kill(),
            Lifetime::Detached(_) => self.stop(Signal::SIGINT, Duration::from_secs(5)),
        };
    }
}

/// The last thirty lines of a log, with bytes that are no UTF-8 replaced.
pub(crate) fn tail(log: &[u8]) -> String {
    let text = String::from_utf8_lossy(&log[log.len().saturating_sub(16 * 1024)..]).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
