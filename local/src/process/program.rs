//! What is started and how, as a value that can be written to a file and started again later.

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

/// How long a process lives when its parent ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lifetime {
    /// It gets this signal (`KILL`, `QUIT`) when the parent ends, however that happens.
    WithParent(String),
    /// It goes on, in a session of its own. Its identity is added to this file as soon as it is started.
    Detached(PathBuf),
}

/// The operating system's account that a process runs as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The account's name.
    pub name: String,
    /// Its user id.
    pub user: u32,
    /// Its group id.
    pub group: u32,
}

/// A program with everything that is needed to start it. Its environment is exactly `environment` and PATH: nothing of the
/// caller's settings reaches a server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Program {
    /// What it is called in messages.
    pub name: String,
    /// The executable.
    pub executable: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// Its working directory.
    pub directory: PathBuf,
    /// Where its standard output and error go.
    pub output: Output,
    /// Another account than ours, when we are root and the program refuses root.
    pub account: Option<Account>,
    /// What happens to it when we end.
    pub lifetime: Lifetime,
    /// Files and folders beside the executable that it reads at its start.
    #[serde(default)]
    pub sources: Vec<PathBuf>,
}

impl Program {
    /// The command that becomes this program, and the one that writes its log where that takes one. The pid stays the same through
    /// the wrappers, which `exec`.
    pub(super) fn command(&self) -> Result<(Command, Option<Command>)> {
        let mut wrapped: Vec<String> = Vec::new();
        let mut own_group = false;
        match &self.lifetime {
            Lifetime::WithParent(signal) => {
                own_group = true;
                wrapped.extend([
                    tool("setpriv", "util-linux")?,
                    "--pdeathsig".into(),
                    signal.clone(),
                ]);
            }
            // setsid(1) forks when it leads a process group, so it must not be given one here.
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
        let (output, errors, writer) = self.outputs()?;

        let (first, rest) = wrapped
            .split_first()
            .ok_or_else(|| Error::request("start", "no wrapper"))?;
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
            .stdout(output)
            .stderr(errors);
        if own_group {
            // Ctrl-C in a terminal reaches the command that uses the stack, not the stack under it.
            command.process_group(0);
        }
        Ok((command, writer))
    }

    /// Standard output and error, and the command that writes what comes of them.
    fn outputs(&self) -> Result<(Stdio, Stdio, Option<Command>)> {
        let container = match &self.output {
            Output::File(path) => {
                let log = appended(path)?;
                let errors = log.try_clone().context(|| "cannot share a log file".into())?;
                return Ok((log.into(), errors.into(), None));
            }
            Output::Container(container) => container,
        };
        let pipe = || io::pipe().context(|| "cannot have a pipe".into());
        let ((output, out), (errors, err)) = (pipe()?, pipe()?);
        // It goes on when this process ends, and ends when the program has closed its pipes.
        let mut writer = Command::new(tool("setsid", "util-linux")?);
        writer
            .arg(local()?)
            .args(container.arguments())
            .env_clear()
            .stdin(output)
            .stdout(errors)
            .stderr(appended(&container.complaints)?);
        Ok((out.into(), err.into(), Some(writer)))
    }
}

fn appended(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .context(|| format!("cannot write {}", path.display()))
}

/// Where `local exec` says its own program is, for tests of crates whose build does not include it.
const LOCAL_PROGRAM: &str = "LOCAL_PROGRAM";

/// The program `local`.
pub(crate) fn local() -> Result<PathBuf> {
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

/// The first executable of this name on PATH or where Debian puts what only root has on PATH.
pub(crate) fn find_on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into(), "/usr/bin".into()])
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

/// A program of this workspace: beside the running one, or one folder up from a test's.
///
/// # Errors
/// [`Error::NotBuilt`] when it is not there.
pub fn program(name: &str) -> Result<PathBuf> {
    let here = env::current_exe().context(|| "cannot tell where this program is".into())?;
    let folder = here.parent().unwrap_or(Path::new("/"));
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
