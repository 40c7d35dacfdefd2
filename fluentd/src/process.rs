//! Runs Fluentd as a process.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use local::fluentd::FluentdSettings;
use local::{Daemon, Lifetime, LogDestination, OpenSearchAccess};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// Limit of [`Fluentd::wait`].
const TIMEOUT: Duration = Duration::from_secs(90);

pub use local::fluentd::executable;

/// The executable. If there is none, reports that `what` is not tested.
#[must_use]
pub fn executable_for(what: &str) -> Option<PathBuf> {
    let found = executable();
    if found.is_none() {
        local::not_tested(&format!("{what}: fluentd is not on PATH, and FLUENTD is not set"));
    }
    found
}

/// A Fluentd process with its state in a temporary folder.
pub struct Fluentd {
    daemon: Daemon,
    state: TempDir,
    metrics: SocketAddr,
}

impl Fluentd {
    /// Reads `<logs>/pods/…` and sends to `servers` after [`Self::start`]. `logs` may be a glob pattern.
    ///
    /// # Errors
    /// When no folder can be created, no port is free, or the library is not built.
    pub fn new(executable: PathBuf, logs: &Path, servers: SocketAddr) -> Result<Self> {
        let state = TempDir::new()?;
        // The port is free now and probably stays free until Fluentd starts.
        let metrics = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let settings = FluentdSettings {
            pods: &logs.join("pods"),
            exclude: &[],
            state: state.path(),
            api: servers,
            opensearch: &OpenSearchAccess {
                url: format!("http://{servers}"),
                username: None,
                password: None,
            },
            metrics,
        };
        let output = LogDestination::File(state.path().join("fluentd.out"));
        let lifetime = Lifetime::WithParent("KILL".to_owned());
        let program = local::fluentd::program(executable, &settings, output, lifetime)?;
        Ok(Self {
            daemon: Daemon::new(program),
            state,
            metrics,
        })
    }

    /// Sets an environment variable for the next start.
    pub fn set(&mut self, name: &str, value: &str) {
        self.daemon
            .program_mut()
            .environment
            .insert(name.to_owned(), value.to_owned());
    }

    /// The folder for positions, buffer, pending lines and dead letters.
    #[must_use]
    pub fn state(&self) -> &Path {
        self.state.path()
    }

    /// Starts Fluentd and waits until it serves metrics.
    ///
    /// # Errors
    /// When Fluentd exits instead.
    pub async fn start(&mut self) -> Result<()> {
        self.daemon.start()?;
        self.wait("Fluentd to answer", async || self.metrics().await.is_ok())
            .await
    }

    /// The process id, while Fluentd runs.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        Some(self.daemon.identity()?.pid)
    }

    /// Sends `SIGKILL`.
    ///
    /// # Errors
    /// When the process does not end.
    pub fn kill(&mut self) -> Result<()> {
        Ok(self.daemon.kill()?)
    }

    /// The metrics in Prometheus format.
    ///
    /// # Errors
    /// When Fluentd does not answer.
    pub async fn metrics(&self) -> Result<String> {
        let url = format!("http://{}/metrics", self.metrics);
        Ok(reqwest::get(url).await?.error_for_status()?.text().await?)
    }

    /// The sum of a metric over its labels.
    ///
    /// # Errors
    /// When Fluentd does not answer.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let all = self.metrics().await?;
        let values = all.lines().filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        Ok(values
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum())
    }

    /// Standard output and error.
    #[must_use]
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&self.daemon.program().output.read()).into_owned()
    }

    /// Waits for a condition.
    ///
    /// # Errors
    /// After a timeout, or when Fluentd has exited; the error has its last lines.
    pub async fn wait(&self, what: &str, mut condition: impl AsyncFnMut() -> bool) -> Result<()> {
        let end = Instant::now() + TIMEOUT;
        while !condition().await {
            if !self.daemon.alive() || Instant::now() > end {
                bail!(
                    "timed out waiting for {what}; Fluentd's last lines:\n{}",
                    self.daemon.tail()
                );
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}
