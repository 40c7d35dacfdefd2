//! Fluentd as a process.

use std::collections::BTreeMap;
use std::env;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use local::{Daemon, Lifetime, Program};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// What [`Fluentd::wait`] gives it.
const PATIENCE: Duration = Duration::from_secs(90);

/// The executable: `FLUENTD`, or `fluentd` on PATH. None where there is none.
#[must_use]
pub fn executable() -> Option<PathBuf> {
    let on_path = || {
        let path = env::var_os("PATH")?;
        let mut found = env::split_paths(&path).map(|directory| directory.join("fluentd"));
        found.find(|candidate| candidate.is_file())
    };
    env::var_os("FLUENTD").map(PathBuf::from).or_else(on_path)
}

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
        let folder = crate::folder();
        let logs = logs.display();
        let set = |name: &str, value: String| (name.to_owned(), value);
        let environment = BTreeMap::from([
            set("FLUENT_STATE_PATH", state.path().display().to_string()),
            set(
                "FLUENT_CONTAINER_TAIL_PATH",
                format!("{logs}/pods/*/*/*.log.????????-??????,{logs}/pods/*/*/*.log"),
            ),
            set("FLUENT_CONTAINER_TAIL_EXCLUDE_PATH", "[]".to_owned()),
            set("FLUENT_FILTER_KUBERNETES_URL", format!("http://{servers}/api")),
            set("FLUENT_OPENSEARCH_SCHEME", "http".to_owned()),
            set("FLUENT_OPENSEARCH_HOST", servers.ip().to_string()),
            set("FLUENT_OPENSEARCH_PORT", servers.port().to_string()),
            set("FLUENT_OPENSEARCH_BUFFER_RETRY_MAX_INTERVAL", "1".to_owned()),
            set("FLUENTD_PROMETHEUS_BIND", metrics.ip().to_string()),
            set("FLUENTD_PROMETHEUS_PORT", metrics.port().to_string()),
        ]);
        let argument = |path: &str| folder.join(path).display().to_string();
        let program = Program {
            name: "Fluentd".to_owned(),
            executable,
            // As in the image: one process, which is started again from outside.
            arguments: vec![
                "--no-supervisor".to_owned(),
                "-c".to_owned(),
                argument("fluent.conf"),
                "-p".to_owned(),
                argument("plugins"),
            ],
            environment,
            directory: state.path().to_owned(),
            output: state.path().join("fluentd.out"),
            account: None,
            lifetime: Lifetime::WithParent("KILL".to_owned()),
        };
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
        std::fs::read_to_string(&self.daemon.program().output).unwrap_or_default()
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
