//! A server that we started: its processes, how readiness is seen, how it is ended.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};

use super::{object_store, opensearch, postgres, rabbitmq};
use crate::access::{ObjectStoreAccess, OpenSearchAccess, PostgresAccess, RabbitMqAccess};
use crate::error::{Error, Result};
use crate::process::{Daemon, DaemonRecord, Identity, Program, tail};

/// How long a server may take to become ready. Generous: a loaded machine with two cores starts RabbitMQ in half a minute.
const START: Duration = Duration::from_secs(180);
const PATIENCE: Duration = Duration::from_secs(20);

/// A question whose answer shows that the server works.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Probe {
    /// A query.
    Postgres(PostgresAccess),
    /// An AMQP handshake.
    RabbitMq(RabbitMqAccess),
    /// A list of the buckets.
    ObjectStore(ObjectStoreAccess),
    /// The cluster's health.
    OpenSearch(OpenSearchAccess),
}

/// What is written down about a server, so that a later program can find it again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OwnRecord {
    /// Its processes in the order of their start.
    pub processes: Vec<DaemonRecord>,
    /// How readiness is seen.
    pub probe: Probe,
    /// Its own log file, where it writes one.
    pub log: Option<PathBuf>,
}

/// A server that we started.
#[derive(Debug)]
pub(crate) struct Own {
    /// The server is the last of them; what it needs beside it comes before.
    daemons: Vec<Daemon>,
    probe: Probe,
    log: Option<PathBuf>,
}

impl Own {
    pub(super) fn new(programs: Vec<Program>, probe: Probe, log: Option<PathBuf>) -> Self {
        Self {
            daemons: programs.into_iter().map(Daemon::new).collect(),
            probe,
            log,
        }
    }

    pub(crate) fn found(record: OwnRecord) -> Self {
        let daemons = record.processes.into_iter().map(Daemon::found).collect();
        Self {
            daemons,
            probe: record.probe,
            log: record.log,
        }
    }

    pub(crate) fn record(&self) -> OwnRecord {
        OwnRecord {
            processes: self.daemons.iter().map(Daemon::record).collect(),
            probe: self.probe.clone(),
            log: self.log.clone(),
        }
    }

    pub(crate) fn keep(&mut self) {
        self.daemons.iter_mut().for_each(Daemon::keep);
    }

    pub(crate) fn alive(&self) -> bool {
        self.daemons.iter().all(Daemon::is_well)
    }

    pub(crate) fn identities(&self) -> Vec<Identity> {
        self.daemons.iter().filter_map(Daemon::identity).collect()
    }

    /// Starts what does not run.
    pub(crate) fn launch(&mut self) -> Result<()> {
        self.daemons.iter_mut().try_for_each(Daemon::start)
    }

    /// Starts what does not run, and waits until the server is ready.
    pub(crate) async fn start(&mut self) -> Result<()> {
        self.launch()?;
        self.ready().await
    }

    pub(crate) async fn ready(&self) -> Result<()> {
        let deadline = Instant::now() + START;
        loop {
            let reason = match timeout(Duration::from_secs(5), self.probe.ask()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(reason)) => reason,
                Err(_) => "no answer within 5 s".into(),
            };
            if let Some(dead) = self.daemons.iter().find(|daemon| !daemon.alive()) {
                return Err(self.not_ready(dead, "ended".into()));
            }
            if Instant::now() >= deadline {
                let what = format!("was not ready within {START:?}: {reason}");
                return Err(self.daemons.last().map_or_else(
                    || Error::request("start", "no process"),
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

    pub(crate) fn stop(&mut self) -> Result<()> {
        // PostgreSQL's SIGINT is its fast shutdown: sessions are ended, data is written.
        let signal = if matches!(self.probe, Probe::Postgres(_)) {
            Signal::SIGINT
        } else {
            Signal::SIGTERM
        };
        self.daemons
            .iter_mut()
            .rev()
            .try_for_each(|daemon| daemon.stop(signal, PATIENCE))
    }

    pub(crate) fn pause(&self) {
        self.daemons.iter().rev().for_each(Daemon::pause);
    }

    pub(crate) fn resume(&self) {
        self.daemons.iter().for_each(Daemon::resume);
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // The server before what it needs: vectors drop from the front.
        while self.daemons.pop().is_some() {}
    }
}

impl Probe {
    async fn ask(&self) -> std::result::Result<(), String> {
        match self {
            Self::Postgres(access) => postgres::probe(access).await,
            Self::RabbitMq(access) => rabbitmq::probe(access).await,
            Self::ObjectStore(access) => object_store::probe(access).await,
            Self::OpenSearch(access) => opensearch::probe(access).await,
        }
    }
}
