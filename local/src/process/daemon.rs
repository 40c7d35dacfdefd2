//! One supervised process.

use std::fs;
use std::process::Child;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::{Identity, Lifetime, Program, journal, spawner};
use crate::error::{Context, Result};

/// A process that can be started, ended in several ways, and started again.
///
/// It is ended when this value is dropped, unless it was [kept](Self::keep).
#[derive(Debug)]
pub struct Daemon {
    program: Program,
    identity: Option<Identity>,
    child: Option<Child>,
    kept: bool,
}

impl Daemon {
    /// A process that does not run yet.
    #[must_use]
    pub fn new(program: Program) -> Self {
        Self {
            program,
            identity: None,
            child: None,
            kept: false,
        }
    }

    /// A process that was started by an earlier program, and goes on when this one ends.
    #[must_use]
    pub fn found(program: Program, identity: Option<Identity>) -> Self {
        Self {
            program,
            identity,
            child: None,
            kept: true,
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

    /// Starts it, unless it runs.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self) -> Result<()> {
        if self.alive() {
            return Ok(());
        }
        self.reap();
        let child = spawner::spawn(self.program.command()?)
            .context(|| format!("cannot start {}", self.program.executable.display()))?;
        let pid = i32::try_from(child.id()).unwrap_or_default();
        self.identity = Identity::of(pid);
        self.child = Some(child);
        if let (Lifetime::Detached(journal), Some(identity)) = (&self.program.lifetime, self.identity) {
            journal::add(journal, &identity, &self.program.name)?;
        }
        Ok(())
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
        tail(&fs::read(&self.program.output).unwrap_or_default())
    }

    /// Takes the exit status of an ended child, so that no zombie stays.
    /// Waits for what has been ended: a process whose first thread is a zombie keeps its ports until its last thread is gone.
    fn reap(&mut self) {
        if let Some(child) = &mut self.child
            && child.wait().is_ok()
        {
            self.child = None;
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
