//! How a process and what it has started are ended.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::Identity;
use crate::error::{Error, Result};

const POLL: Duration = Duration::from_millis(10);
const AFTER_KILL: Duration = Duration::from_secs(10);
const ORPHANS: Duration = Duration::from_secs(2);

impl Identity {
    /// Sends a signal to it and everything it has started. It is halted meanwhile, so that nothing new appears.
    pub(super) fn signal_family(&self, signal: Signal) {
        if !self.alive() {
            return;
        }
        self.signal(Signal::SIGSTOP);
        let descendants = self.descendants();
        self.signal(signal);
        for descendant in &descendants {
            descendant.signal(signal);
        }
        if signal != Signal::SIGSTOP {
            self.signal(Signal::SIGCONT);
        }
    }

    /// Ends it and everything it has started at once, and waits until all are gone.
    pub(super) fn kill(&self, name: &str) -> Result<()> {
        if !self.alive() {
            return Ok(());
        }
        self.signal(Signal::SIGSTOP);
        let descendants = self.descendants();
        for process in [self].into_iter().chain(&descendants) {
            process.signal(Signal::SIGKILL);
        }
        [self]
            .into_iter()
            .chain(&descendants)
            .try_for_each(|process| process.gone(name, AFTER_KILL))
    }

    /// Asks it to end, waits, and ends it by force when it has not after `patience`; then what it has left behind.
    pub(crate) fn end(&self, name: &str, signal: Signal, patience: Duration) -> Result<()> {
        if !self.alive() {
            return Ok(());
        }
        let descendants = self.descendants();
        for process in descendants.iter().chain([self]) {
            process.signal(Signal::SIGCONT);
        }
        self.signal(signal);
        if self.gone(name, patience).is_err() {
            self.kill(name)?;
        }
        for descendant in descendants {
            if descendant.gone(name, ORPHANS).is_err() {
                descendant.signal(Signal::SIGKILL);
                descendant.gone(name, AFTER_KILL)?;
            }
        }
        Ok(())
    }

    /// Waits until it has ended by itself, and ends it by force when it has not after `patience`.
    pub(crate) fn ends(&self, name: &str, patience: Duration) -> Result<()> {
        self.gone(name, patience).or_else(|_| self.kill(name))
    }

    fn gone(&self, name: &str, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        while self.alive() {
            if Instant::now() >= deadline {
                return Err(Error::Immortal {
                    process: name.into(),
                    pid: self.pid,
                    after: patience,
                });
            }
            thread::sleep(POLL);
        }
        Ok(())
    }
}
