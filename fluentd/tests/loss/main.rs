//! The real Fluentd stores each line exactly once, also if Fluentd is killed, OpenSearch is down, the buffer is full or
//! files are rotated.

mod dead_letters;
mod load;
mod outage;
mod pending;
mod tls;

use anyhow::Result;
use fluentd::{folder, process, process::Fluentd, servers::Servers};
use tempfile::TempDir;

/// Fluentd, its folder of logs, and stand-ins for its servers.
struct FluentdFixture {
    logs: TempDir,
    servers: Servers,
    fluentd: Fluentd,
}

impl FluentdFixture {
    /// Does not start Fluentd. If Fluentd is not installed, reports that `what` is not tested and returns None.
    async fn new(what: &str) -> Result<Option<Self>> {
        let Some(executable) = process::executable_for(what) else {
            return Ok(None);
        };
        let logs = TempDir::new()?;
        let servers = Servers::start(&folder().join("golden/pods.json")).await?;
        let fluentd = Fluentd::new(executable, logs.path(), servers.address())?;
        Ok(Some(Self {
            logs,
            servers,
            fluentd,
        }))
    }

    /// Waits until this number of documents is stored.
    async fn wait_until_stored(&self, count: usize) -> Result<()> {
        let what = format!("{count} documents");
        self.fluentd
            .wait(&what, async || self.servers.count() >= count)
            .await
    }
}
