//! Ends a process and its descendants.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::identity::ProcessIdentity;
use crate::error::{Error, Result};

const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// How long a process may take to end after SIGKILL.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// How long the descendants of an ended process may take to end by themselves.
const ORPHAN_LIMIT: Duration = Duration::from_secs(2);

impl ProcessIdentity {
    /// Sends a signal to the process and its descendants. SIGSTOP first, so that no new child appears meanwhile.
    pub(super) fn signal_tree(&self, signal: Signal) {
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

    /// Kills the process and its descendants, and waits until all have ended.
    pub(super) fn kill_tree(&self, name: &str) -> Result<()> {
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
            .try_for_each(|process| process.wait_until_ended(name, KILL_LIMIT))
    }

    /// Sends `signal`, waits, and kills the process after `limit`. Then ends the descendants that are left.
    pub(crate) fn end(&self, name: &str, signal: Signal, limit: Duration) -> Result<()> {
        if !self.alive() {
            return Ok(());
        }
        let descendants = self.descendants();
        for process in descendants.iter().chain([self]) {
            process.signal(Signal::SIGCONT);
        }
        self.signal(signal);
        if self.wait_until_ended(name, limit).is_err() {
            self.kill_tree(name)?;
        }
        for descendant in descendants {
            if descendant.wait_until_ended(name, ORPHAN_LIMIT).is_err() {
                descendant.signal(Signal::SIGKILL);
                descendant.wait_until_ended(name, KILL_LIMIT)?;
            }
        }
        Ok(())
    }

    /// Waits until the process ends by itself, and kills it after `limit`.
    pub(crate) fn wait_or_kill(&self, name: &str, limit: Duration) -> Result<()> {
        self.wait_until_ended(name, limit)
            .or_else(|_| self.kill_tree(name))
    }

    fn wait_until_ended(&self, name: &str, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while self.alive() {
            if Instant::now() >= deadline {
                return Err(Error::StillRunning {
                    process: name.into(),
                    pid: self.pid,
                    after: limit,
                });
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }
}
