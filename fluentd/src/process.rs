//! Fluentd as a process.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use local::fluentd::Settings;
use local::{Daemon, Lifetime, OpenSearchAccess, Output};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// What [`Fluentd::wait`] gives it.
const PATIENCE: Duration = Duration::from_secs(90);

pub use local::fluentd::executable;

/// The executable; where there is none, says what is not tested then.
#[must_use]
pub fn executable_for(what: &str) -> Option<PathBuf> {
    let found = executable();
    if found.is_none() {
        local::not_tested(&format!(
            "{what}: there is no fluentd on PATH, and FLUENTD names none"
        ));
    }
    found
}

/// One Fluentd with a state of its own.
pub struct Fluentd {
    daemon: Daemon,
    state: TempDir,
    metrics: SocketAddr,
}

impl Fluentd {
    /// One that reads `<logs>/pods/…` (`logs` may be a pattern) and talks to `servers`; not started yet.
    ///
    /// # Errors
    /// When no directory or no port can be had.
    pub fn new(executable: PathBuf, logs: &Path, servers: SocketAddr) -> Result<Self> {
        let state = TempDir::new()?;
        // Free now, and nobody else is told of it.
        let metrics = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let settings = Settings {
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
        let output = Output::File(state.path().join("fluentd.out"));
        let lifetime = Lifetime::WithParent("KILL".to_owned());
        let program = local::fluentd::program(executable, &settings, output, lifetime);
        Ok(Self {
            daemon: Daemon::new(program),
            state,
            metrics,
        })
    }

    /// Sets a variable of its environment, for the next start.
    pub fn set(&mut self, name: &str, value: &str) {
        self.daemon
            .program_mut()
            .environment
            .insert(name.to_owned(), value.to_owned());
    }

    /// Where it keeps positions, buffer and dead letters.
    #[must_use]
    pub fn state(&self) -> &Path {
        self.state.path()
    }

    /// Starts it, and waits until it answers.
    ///
    /// # Errors
    /// When it ends instead.
    pub async fn start(&mut self) -> Result<()> {
        self.daemon.start()?;
        self.wait("Fluentd to answer", async || self.metrics().await.is_ok())
            .await
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        Some(self.daemon.identity()?.pid)
    }

    /// Ends it at once (`SIGKILL`).
    ///
    /// # Errors
    /// When it does not go away.
    pub fn kill(&mut self) -> Result<()> {
        Ok(self.daemon.kill()?)
    }

    /// Its metrics, as Prometheus reads them.
    ///
    /// # Errors
    /// When it does not answer.
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

    /// What it has written to its standard output and error.
    #[must_use]
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&self.daemon.program().output.read()).into_owned()
    }

    /// Waits until something is so.
    ///
    /// # Errors
    /// When it is not after a long time, or Fluentd has ended, with what it said last.
    pub async fn wait(&self, what: &str, mut so: impl AsyncFnMut() -> bool) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while !so().await {
            if !self.daemon.alive() || Instant::now() > end {
                bail!(
                    "waited in vain for {what}; the last lines of Fluentd:\n{}",
                    self.daemon.tail()
                );
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}
