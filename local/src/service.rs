//! `irmgard` or `anonymizer` as a process.

use std::collections::BTreeMap;
use std::env;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

use crate::access::{Environment, use_account};
use crate::error::{Error, Result};
use crate::layout::TempDirectory;
use crate::ports;
use crate::process::{Daemon, DaemonRecord, Lifetime, LogDestination, ProcessIdentity, Program};
use crate::project::program as built_program;

/// How long a service may take to become ready.
const START_LIMIT: Duration = Duration::from_secs(60);

/// `irmgard` or `anonymizer` on free ports, with its log in a file.
///
/// The process ends when this value is dropped or this process ends.
#[derive(Debug)]
pub struct Service {
    daemon: Daemon,
    listen: String,
    admin: String,
    _temporary: Option<TempDirectory>,
}

impl Service {
    /// A service that is not started yet: the program `name` in the running program's folder, with the argument `serve`. It
    /// uses the program's account of the object store.
    ///
    /// # Errors
    /// [`Error::NotBuilt`] when there is no such program.
    pub fn new(name: &str, environment: &Environment) -> Result<Self> {
        let temporary = TempDirectory::new()?;
        let output = LogDestination::File(temporary.path().join(format!("{name}.log")));
        Self::build(
            name,
            environment,
            output,
            Lifetime::WithParent("KILL".into()),
            Some(temporary),
        )
    }

    pub(crate) fn build(
        name: &str,
        environment: &Environment,
        output: LogDestination,
        lifetime: Lifetime,
        temporary: Option<TempDirectory>,
    ) -> Result<Self> {
        let listen = format!("127.0.0.1:{}", ports::free()?);
        let admin = format!("127.0.0.1:{}", ports::free()?);
        let mut variables = BTreeMap::from([
            ("LISTEN".into(), listen.clone()),
            ("ADMIN_LISTEN".into(), admin.clone()),
            ("LOG_FORMAT".into(), "json".into()),
        ]);
        // Debug settings of a developer.
        for name in ["RUST_LOG", "RUST_BACKTRACE", "FAILPOINTS"] {
            if let Ok(value) = env::var(name) {
                variables.insert(name.into(), value);
            }
        }
        variables.extend(environment.clone());
        use_account(&mut variables, name);
        let listen = variables.get("LISTEN").cloned().unwrap_or_default();
        let admin = variables.get("ADMIN_LISTEN").cloned().unwrap_or_default();
        let program = Program {
            arguments: vec!["serve".into()],
            environment: variables,
            ..Program::new(name, built_program(name)?, &env::temp_dir(), output, lifetime)
        };
        Ok(Self {
            daemon: Daemon::new(program),
            listen,
            admin,
            _temporary: temporary,
        })
    }

    pub(crate) fn from_record(record: DaemonRecord) -> Self {
        let variable = |name: &str| record.program.environment.get(name).cloned().unwrap_or_default();
        Self {
            listen: variable("LISTEN"),
            admin: variable("ADMIN_LISTEN"),
            daemon: Daemon::from_record(record),
            _temporary: None,
        }
    }

    /// Lets the process outlive this program. Returns the record for [`Self::from_record`].
    pub(crate) fn detach(&mut self) -> DaemonRecord {
        self.daemon.detach();
        self.daemon.record()
    }

    /// Starts the service, or restarts it if its program or these settings have changed.
    pub(crate) async fn ensure_current(&mut self, environment: &Environment) -> Result<()> {
        let program = self.daemon.program_mut();
        program.executable = built_program(&program.name)?;
        let mut variables = program.environment.clone();
        variables.extend(environment.clone());
        use_account(&mut variables, &program.name);
        let is_unchanged = variables == program.environment;
        program.environment = variables;
        if !(is_unchanged && self.daemon.is_current()) {
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

    /// Starts the process and waits until `/readyz` answers 200.
    ///
    /// # Errors
    /// [`Error::NotReady`], with the end of its log.
    pub async fn start(&mut self) -> Result<()> {
        self.spawn()?;
        self.ready().await
    }

    /// Starts the process without waiting.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&mut self) -> Result<()> {
        self.daemon.start()
    }

    /// Waits until `/readyz` answers 200.
    ///
    /// # Errors
    /// [`Error::NotReady`] when the process ends or is not ready within a minute.
    pub async fn ready(&mut self) -> Result<()> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(2))
            .build()
            .map_err(|error| Error::request("cannot build an HTTP client", error))?;
        let url = format!("http://{}/readyz", self.admin);
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let problem = match client.get(&url).send().await {
                Ok(response) if response.status().is_success() => return Ok(()),
                Ok(response) => response.status().to_string(),
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
                return Err(self.not_ready(format!("was not ready within {START_LIMIT:?}: {problem}")));
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

    /// Waits until the process has ended by itself, and returns its exit status.
    ///
    /// # Errors
    /// [`Error::NotReady`] when it still runs after `limit`.
    pub async fn ended(&mut self, limit: Duration) -> Result<std::process::ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.daemon.exit_status() {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                return Err(self.not_ready(format!("still runs after {limit:?}")));
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Kills the process and its descendants (`SIGKILL`).
    ///
    /// # Errors
    /// When a process does not end.
    pub fn kill(&mut self) -> Result<()> {
        self.daemon.kill()
    }

    /// Sends `SIGTERM`, waits, and kills the process after `limit`.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&mut self, limit: Duration) -> Result<()> {
        self.daemon.stop(Signal::SIGTERM, limit)
    }

    /// Sends `SIGTERM` without waiting.
    pub fn terminate(&self) {
        self.daemon.signal(Signal::SIGTERM);
    }

    /// Stops the process with `SIGSTOP`.
    pub fn pause(&self) {
        self.daemon.pause();
    }

    /// Continues the process after [`Self::pause`].
    pub fn resume(&self) {
        self.daemon.resume();
    }

    /// Kills the process if it runs, and starts it again on the same ports.
    ///
    /// # Errors
    /// [`Error::NotReady`] when it does not become ready again.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill()?;
        self.start().await
    }

    #[must_use]
    pub fn alive(&self) -> bool {
        self.daemon.alive()
    }

    #[must_use]
    pub fn identity(&self) -> Option<ProcessIdentity> {
        self.daemon.identity()
    }

    /// `host:port` of the API (irmgard).
    #[must_use]
    pub fn address(&self) -> &str {
        &self.listen
    }

    /// `host:port` of the admin interface.
    #[must_use]
    pub fn admin_address(&self) -> &str {
        &self.admin
    }

    /// The file with its output; in the persistent stack the folder of its container's log.
    #[must_use]
    pub fn log_path(&self) -> &Path {
        self.daemon.program().output.path()
    }

    /// The log so far.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.daemon.program().output.read()).into_owned()
    }

    /// The log lines that are JSON objects.
    #[must_use]
    pub fn log_lines(&self) -> Vec<serde_json::Value> {
        self.log()
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(serde_json::Value::is_object)
            .collect()
    }
}
