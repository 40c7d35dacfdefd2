//! One of the project's own programs as a process.

use std::collections::BTreeMap;
use std::env;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

use crate::access::{Environment, under_account};
use crate::directory::Temporary;
use crate::error::{Error, Result};
use crate::ports;
use crate::process::{Daemon, DaemonRecord, Identity, Lifetime, Output, Program, program as built};

const START: Duration = Duration::from_secs(60);

/// `irmgard` or `anonymizer`, with ports of its own and its log in a file.
///
/// It is ended when this value is dropped or this process ends.
#[derive(Debug)]
pub struct Service {
    daemon: Daemon,
    listen: String,
    admin: String,
    _temporary: Option<Temporary>,
}

impl Service {
    /// A service that does not run yet: the program `name`, found beside the running program, with the one argument `serve`, and
    /// at an object store of ours under its own account.
    ///
    /// # Errors
    /// [`Error::NotBuilt`] when there is no such program.
    pub fn new(name: &str, environment: &Environment) -> Result<Self> {
        let temporary = Temporary::new()?;
        let output = Output::File(temporary.path().join(format!("{name}.log")));
        Self::at(
            name,
            environment,
            output,
            Lifetime::WithParent("KILL".into()),
            Some(temporary),
        )
    }

    pub(crate) fn at(
        name: &str,
        environment: &Environment,
        output: Output,
        lifetime: Lifetime,
        temporary: Option<Temporary>,
    ) -> Result<Self> {
        let listen = format!("127.0.0.1:{}", ports::free()?);
        let admin = format!("127.0.0.1:{}", ports::free()?);
        let mut all = BTreeMap::from([
            ("LISTEN".into(), listen.clone()),
            ("ADMIN_LISTEN".into(), admin.clone()),
            ("LOG_FORMAT".into(), "json".into()),
        ]);
        // What a developer sets for one run reaches the programs too.
        for name in ["RUST_LOG", "RUST_BACKTRACE", "FAILPOINTS"] {
            if let Ok(value) = env::var(name) {
                all.insert(name.into(), value);
            }
        }
        all.extend(environment.clone());
        under_account(&mut all, name);
        let listen = all.get("LISTEN").cloned().unwrap_or_default();
        let admin = all.get("ADMIN_LISTEN").cloned().unwrap_or_default();
        let program = Program {
            name: name.into(),
            executable: built(name)?,
            arguments: vec!["serve".into()],
            environment: all,
            directory: env::temp_dir(),
            output,
            account: None,
            lifetime,
            sources: Vec::new(),
        };
        Ok(Self {
            daemon: Daemon::new(program),
            listen,
            admin,
            _temporary: temporary,
        })
    }

    pub(crate) fn found(record: DaemonRecord) -> Self {
        let variable = |name: &str| record.program.environment.get(name).cloned().unwrap_or_default();
        Self {
            listen: variable("LISTEN"),
            admin: variable("ADMIN_LISTEN"),
            daemon: Daemon::found(record),
            _temporary: None,
        }
    }

    /// Lets it outlive this program, and says how a later one finds it.
    pub(crate) fn keep(&mut self) -> DaemonRecord {
        self.daemon.keep();
        self.daemon.record()
    }

    /// Sees that it runs, as built last, with these settings: one that does is left alone.
    pub(crate) async fn renew(&mut self, environment: &Environment) -> Result<()> {
        let program = self.daemon.program_mut();
        program.executable = built(&program.name)?;
        let mut told = program.environment.clone();
        told.extend(environment.clone());
        under_account(&mut told, &program.name);
        let is_told = told == program.environment;
        program.environment = told;
        if !(is_told && self.daemon.is_current()) {
            self.stop(Duration::from_secs(40))?;
        }
        self.start().await
    }

    /// Sets a variable for the next start.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    /// Sets a variable for the next start.
    pub fn set(&mut self, name: &str, value: &str) {
        self.daemon
            .program_mut()
            .environment
            .insert(name.into(), value.into());
    }

    /// Removes a variable for the next start.
    pub fn unset(&mut self, name: &str) {
        self.daemon.program_mut().environment.remove(name);
    }

    /// Starts it and waits until `/readyz` answers 200.
    ///
    /// # Errors
    /// [`Error::NotReady`], with the end of its log.
    pub async fn start(&mut self) -> Result<()> {
        self.spawn()?;
        self.ready().await
    }

    /// Starts it and does not wait.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&mut self) -> Result<()> {
        self.daemon.start()
    }

    /// Waits until `/readyz` answers 200.
    ///
    /// # Errors
    /// [`Error::NotReady`] when it ends or a minute passes.
    pub async fn ready(&mut self) -> Result<()> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(2))
            .build()
            .map_err(|error| Error::request("an HTTP client is built", error))?;
        let url = format!("http://{}/readyz", self.admin);
        let deadline = Instant::now() + START;
        loop {
            let seen = match client.get(&url).send().await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => answer.status().to_string(),
                Err(error) => error.to_string(),
            };
            if !self.alive() {
                let status = self
                    .daemon
                    .exit_status()
                    .map_or_else(|| "ended".into(), |status| format!("ended: {status}"));
                return Err(self.not_ready(status));
            }
            if Instant::now() >= deadline {
                return Err(self.not_ready(format!("was not ready within {START:?}: {seen}")));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn not_ready(&self, what: String) -> Error {
        Error::NotReady {
            server: self.daemon.program().name.clone(),
            what,
            log: self.daemon.tail(),
        }
    }

    /// Waits until it has ended by itself, and returns its exit status.
    ///
    /// # Errors
    /// [`Error::NotReady`] when it still runs after `patience`.
    pub async fn ended(&mut self, patience: Duration) -> Result<std::process::ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.daemon.exit_status() {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                return Err(self.not_ready(format!("still runs after {patience:?}")));
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends it at once (`SIGKILL`), with the processes that it has started.
    ///
    /// # Errors
    /// When it does not go away.
    pub fn kill(&mut self) -> Result<()> {
        self.daemon.kill()
    }

    /// Asks it to end (`SIGTERM`), waits, and ends it by force after `patience`.
    ///
    /// # Errors
    /// When it does not go away.
    pub fn stop(&mut self, patience: Duration) -> Result<()> {
        self.daemon.stop(Signal::SIGTERM, patience)
    }

    /// Asks it to end (`SIGTERM`) and does not wait.
    pub fn terminate(&self) {
        self.daemon.signal(Signal::SIGTERM);
    }

    /// Halts it (`SIGSTOP`).
    pub fn pause(&self) {
        self.daemon.pause();
    }

    /// Lets it go on after [`Self::pause`].
    pub fn resume(&self) {
        self.daemon.resume();
    }

    /// Kills it if it runs, and starts it again on the same ports.
    ///
    /// # Errors
    /// [`Error::NotReady`] when it does not come back.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill()?;
        self.start().await
    }

    /// Whether it runs.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.daemon.alive()
    }

    /// Which process it is.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.daemon.identity()
    }

    /// `host:port` of its own interface (irmgard's API).
    #[must_use]
    pub fn address(&self) -> &str {
        &self.listen
    }

    /// `host:port` of its admin interface.
    #[must_use]
    pub fn admin_address(&self) -> &str {
        &self.admin
    }

    /// The file with everything that it has written; in the lasting stack the folder of its container's log.
    #[must_use]
    pub fn log_path(&self) -> &Path {
        self.daemon.program().output.path()
    }

    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.daemon.program().output.read()).into_owned()
    }

    /// The lines of its log that are JSON objects.
    #[must_use]
    pub fn log_lines(&self) -> Vec<serde_json::Value> {
        self.log()
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(serde_json::Value::is_object)
            .collect()
    }
}
