//! A program with everything that is needed to start it. The value can be stored in a file.

use std::collections::BTreeMap;
use std::env;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::account::Account;
use super::output::LogDestination;
use crate::error::{Context, Error, Result};
use crate::project::{local_program, system_program};

/// Whether a process outlives its parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lifetime {
    /// The kernel sends it this signal (`KILL`, `QUIT`) when the parent ends in any way.
    WithParent(String),
    /// It runs on in its own session. Its identity is added to this journal at its start.
    Detached(PathBuf),
}

/// A program with everything that is needed to start it. It gets exactly `environment` and PATH, and no other variable of
/// the caller.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Program {
    /// The name in messages.
    pub name: String,
    pub executable: PathBuf,
    pub arguments: Vec<String>,
    pub environment: BTreeMap<String, String>,
    /// The working directory.
    pub directory: PathBuf,
    pub output: LogDestination,
    /// Another account, if this process is root and the program does not run as root.
    pub account: Option<Account>,
    pub lifetime: Lifetime,
    /// Files and folders, besides the executable, that it reads at its start.
    #[serde(default)]
    pub sources: Vec<PathBuf>,
}

impl Program {
    /// A program without arguments and variables, under this process's account.
    pub(crate) fn new(
        name: &str,
        executable: PathBuf,
        directory: &Path,
        output: LogDestination,
        lifetime: Lifetime,
    ) -> Self {
        Self {
            name: name.into(),
            executable,
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            directory: directory.into(),
            output,
            account: None,
            lifetime,
            sources: Vec::new(),
        }
    }

    /// The command that starts this program, and the log writer's command if the output is a container log. All wrappers
    /// `exec`, so the pid stays the same.
    pub(super) fn command(&self) -> Result<(Command, Option<Command>)> {
        let mut wrapped: Vec<String> = Vec::new();
        let mut new_process_group = false;
        match &self.lifetime {
            Lifetime::WithParent(signal) => {
                new_process_group = true;
                wrapped.extend([util_linux("setpriv")?, "--pdeathsig".into(), signal.clone()]);
            }
            // setsid(1) forks if it leads a process group, so it must not get one here.
            Lifetime::Detached(_) => wrapped.push(util_linux("setsid")?),
        }
        if let Some(account) = &self.account {
            if matches!(self.lifetime, Lifetime::Detached(_)) {
                wrapped.push(util_linux("setpriv")?);
            }
            wrapped.extend(account.setpriv_arguments());
        }
        let (stdout, stderr, log_writer) = self.open_output()?;

        let (first, rest) = wrapped
            .split_first()
            .ok_or_else(|| Error::request("cannot start a program", "it has no wrapper"))?;
        let mut command = Command::new(first);
        command
            .args(rest)
            .arg(&self.executable)
            .args(&self.arguments)
            .env_clear()
            .env(
                "PATH",
                env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()),
            )
            .envs(&self.environment)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr);
        if new_process_group {
            // Ctrl-C in a terminal must reach only the command inside the stack, not the servers.
            command.process_group(0);
        }
        Ok((command, log_writer))
    }

    /// Standard output and error, and the command of the log writer.
    fn open_output(&self) -> Result<(Stdio, Stdio, Option<Command>)> {
        let container = match &self.output {
            LogDestination::File(path) => {
                let log = open_append(path)?;
                let stderr = log.try_clone().context(|| "cannot share a log file".into())?;
                return Ok((log.into(), stderr.into(), None));
            }
            LogDestination::Container(container) => container,
        };
        let pipe = || io::pipe().context(|| "cannot create a pipe".into());
        let ((stdout_reader, stdout), (stderr_reader, stderr)) = (pipe()?, pipe()?);
        // The log writer outlives this process. It ends when the program has closed its pipes.
        let mut log_writer = Command::new(util_linux("setsid")?);
        log_writer
            .arg(local_program()?)
            .args(container.arguments())
            .env_clear()
            .stdin(stdout_reader)
            .stdout(stderr_reader)
            .stderr(open_append(&container.writer_errors)?);
        Ok((stdout.into(), stderr.into(), Some(log_writer)))
    }
}

fn open_append(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .context(|| format!("cannot write {}", path.display()))
}

fn util_linux(name: &str) -> Result<String> {
    system_program(name, "util-linux").map(|path| path.display().to_string())
}
