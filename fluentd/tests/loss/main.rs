//! No line is lost and none is stored twice, whatever is killed, away, full
//! or rotated: counted line by line, through the real Fluentd.

mod dead_letters;
mod entrance;
mod held;
mod load;
mod outage;

use anyhow::Result;
use fluentd::{folder, process, process::Fluentd, servers::Servers};
use tempfile::TempDir;

/// Fluentd between a directory of logs and the servers.
struct Stand {
    logs: TempDir,
    servers: Servers,
    fluentd: Fluentd,
}

impl Stand {
    /// None, and that is said, where there is no Fluentd. It is not started yet.
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

    /// Waits until so many documents are stored.
    async fn stored(&self, count: usize) -> Result<()> {
        let what = format!("{count} documents");
        self.fluentd
            .wait(&what, async || self.servers.count() >= count)
            .await
    }
}
