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

use super::Output;
use crate::error::{Context, Error, Result};

/// Whether a process outlives its parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lifetime {
    /// The kernel sends it this signal (`KILL`, `QUIT`) when the parent ends in any way.
    WithParent(String),
    /// It runs on in its own session. Its identity is added to this journal at its start.
    Detached(PathBuf),
}

/// The operating system account of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub name: String,
    pub user: u32,
    pub group: u32,
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
    pub output: Output,
    /// Another account, if this process is root and the program does not run as root.
    pub account: Option<Account>,
    pub lifetime: Lifetime,
    /// Files and folders, besides the executable, that it reads at its start.
    #[serde(default)]
    pub sources: Vec<PathBuf>,
}

impl Program {
    /// The command that starts this program, and the log writer's command if the output is a container log. All wrappers
    /// `exec`, so the pid stays the same.
    pub(super) fn command(&self) -> Result<(Command, Option<Command>)> {
        let mut wrapped: Vec<String> = Vec::new();
        let mut new_process_group = false;
        match &self.lifetime {
            Lifetime::WithParent(signal) => {
                new_process_group = true;
                wrapped.extend([
                    tool("setpriv", "util-linux")?,
                    "--pdeathsig".into(),
                    signal.clone(),
                ]);
            }
            // setsid(1) forks if it leads a process group, so it must not get one here.
            Lifetime::Detached(_) => wrapped.push(tool("setsid", "util-linux")?),
        }
        if let Some(account) = &self.account {
            if matches!(self.lifetime, Lifetime::Detached(_)) {
                wrapped.push(tool("setpriv", "util-linux")?);
            }
            wrapped.push(format!("--reuid={}", account.user));
            wrapped.push(format!("--regid={}", account.group));
            wrapped.push("--init-groups".into());
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
            Output::File(path) => {
                let log = open_append(path)?;
                let stderr = log.try_clone().context(|| "cannot share a log file".into())?;
                return Ok((log.into(), stderr.into(), None));
            }
            Output::Container(container) => container,
        };
        let pipe = || io::pipe().context(|| "cannot create a pipe".into());
        let ((stdout_reader, stdout), (stderr_reader, stderr)) = (pipe()?, pipe()?);
        // The log writer outlives this process. It ends when the program has closed its pipes.
        let mut log_writer = Command::new(tool("setsid", "util-linux")?);
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

/// Set by `local exec`: the path of `local`, for tests of crates whose build does not include it.
const LOCAL_PROGRAM: &str = "LOCAL_PROGRAM";

/// The program `local`.
pub(crate) fn local_program() -> Result<PathBuf> {
    match env::var_os(LOCAL_PROGRAM) {
        Some(path) => Ok(path.into()),
        None => program("local"),
    }
}

fn tool(name: &str, package: &'static str) -> Result<String> {
    find_on_path(name)
        .map(|path| path.display().to_string())
        .ok_or_else(|| Error::MissingProgram {
            program: name.into(),
            package,
        })
}

/// The first file with this name on PATH, or in Debian's directories that only root has on PATH.
pub(crate) fn find_on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into(), "/usr/bin".into()])
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

/// A program of this workspace: in the running program's folder, or for a test one folder up.
///
/// # Errors
/// [`Error::NotBuilt`] when it does not exist.
pub fn program(name: &str) -> Result<PathBuf> {
    let executable = env::current_exe().context(|| "cannot find the path of this program".into())?;
    let folder = executable.parent().unwrap_or(Path::new("/"));
    let folder = if folder.ends_with("deps") {
        folder.parent().unwrap_or(folder)
    } else {
        folder
    };
    let path = folder.join(name);
    if path.is_file() {
        return Ok(path);
    }
    let release = if folder.ends_with("release") {
        " --release"
    } else {
        ""
    };
    Err(Error::NotBuilt {
        program: name.into(),
        looked_in: folder.into(),
        command: format!("cargo build{release} -p {name}"),
    })
}
