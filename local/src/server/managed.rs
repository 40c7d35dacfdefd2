//! A server that this stack started: its processes, readiness and shutdown.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};

use crate::access::Access;
use crate::error::{Error, Result};
use crate::process::{Daemon, DaemonRecord, ProcessIdentity, Program, tail};

/// How long a server may take to become ready. A loaded machine with two cores needs half a minute for RabbitMQ.
const START_LIMIT: Duration = Duration::from_secs(180);
/// How long a server may take to shut down.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(20);

/// A managed server in the record of the persistent stack.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ManagedServerRecord {
    /// In the order of their start.
    pub processes: Vec<DaemonRecord>,
    /// The server's log file, if it writes one.
    pub log: Option<PathBuf>,
}

/// A server that this stack started.
#[derive(Debug)]
pub(crate) struct ManagedServer {
    /// The server is the last one. Processes that it needs come first.
    daemons: Vec<Daemon>,
    log: Option<PathBuf>,
}

impl ManagedServer {
    pub(super) fn new(programs: Vec<Program>, log: Option<PathBuf>) -> Self {
        Self {
            daemons: programs.into_iter().map(Daemon::new).collect(),
            log,
        }
    }

    pub(crate) fn from_record(record: ManagedServerRecord) -> Self {
        let daemons = record.processes.into_iter().map(Daemon::from_record).collect();
        Self {
            daemons,
            log: record.log,
        }
    }

    pub(crate) fn record(&self) -> ManagedServerRecord {
        ManagedServerRecord {
            processes: self.daemons.iter().map(Daemon::record).collect(),
            log: self.log.clone(),
        }
    }

    pub(crate) fn detach(&mut self) {
        self.daemons.iter_mut().for_each(Daemon::detach);
    }

    pub(crate) fn alive(&self) -> bool {
        self.daemons.iter().all(Daemon::is_healthy)
    }

    pub(crate) fn identities(&self) -> Vec<ProcessIdentity> {
        self.daemons.iter().filter_map(Daemon::identity).collect()
    }

    /// Starts the processes that do not run.
    pub(crate) fn launch(&mut self) -> Result<()> {
        self.daemons.iter_mut().try_for_each(Daemon::start)
    }

    /// Starts the processes that do not run, and waits until the server is ready.
    pub(crate) async fn start(&mut self, access: &impl Access) -> Result<()> {
        self.launch()?;
        self.ready(access).await
    }

    pub(crate) async fn ready(&self, access: &impl Access) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let reason = match timeout(Duration::from_secs(5), access.probe()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(reason)) => reason,
                Err(_) => "no answer within 5 s".into(),
            };
            if let Some(dead) = self.daemons.iter().find(|daemon| !daemon.alive()) {
                return Err(self.not_ready(dead, "ended".into()));
            }
            if Instant::now() >= deadline {
                let what = format!("was not ready within {START_LIMIT:?}: {reason}");
                return Err(self.daemons.last().map_or_else(
                    || Error::request("cannot start the server", "it has no process"),
                    |daemon| self.not_ready(daemon, what),
                ));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn not_ready(&self, daemon: &Daemon, what: String) -> Error {
        let log = self.log.as_ref().and_then(|log| fs::read(log).ok());
        let log = log.map(|log| tail(&log)).unwrap_or_default();
        Error::NotReady {
            server: daemon.program().name.clone(),
            what,
            log: format!("{log}\n{}", daemon.tail()),
        }
    }

    pub(crate) fn kill(&mut self) -> Result<()> {
        self.daemons.iter_mut().rev().try_for_each(Daemon::kill)
    }

    pub(crate) fn stop<A: Access>(&mut self) -> Result<()> {
        self.daemons
            .iter_mut()
            .rev()
            .try_for_each(|daemon| daemon.stop(A::SHUTDOWN_SIGNAL, SHUTDOWN_LIMIT))
    }

    pub(crate) fn pause(&self) {
        self.daemons.iter().rev().for_each(Daemon::pause);
    }

    pub(crate) fn resume(&self) {
        self.daemons.iter().for_each(Daemon::resume);
    }
}

impl Drop for ManagedServer {
    fn drop(&mut self) {
        // From the back, because the server must end before the processes that it needs.
        while self.daemons.pop().is_some() {}
    }
}
