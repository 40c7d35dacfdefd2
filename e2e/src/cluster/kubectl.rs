//! The command `kubectl`, and the Kubernetes API through it.

use std::{env, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// `kubectl`, or what the variable KUBECTL says. Cluster and context are those that it takes itself.
#[derive(Clone, Debug)]
pub struct Kubectl {
    words: Vec<String>,
}

impl Kubectl {
    /// As the environment says.
    #[must_use]
    pub fn from_environment() -> Self {
        let text = env::var("KUBECTL").unwrap_or_default();
        let mut words: Vec<String> = text.split_whitespace().map(ToOwned::to_owned).collect();
        if words.is_empty() {
            words.push("kubectl".to_owned());
        }
        Self { words }
    }

    /// The program, where it needs no arguments of its own.
    #[must_use]
    pub fn alone(&self) -> Option<&str> {
        match self.words.as_slice() {
            [program] => Some(program),
            _ => None,
        }
    }

    /// A command that ends with us.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.words[0]);
        command
            .args(&self.words[1..])
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// What a command prints.
    ///
    /// # Errors
    /// When it fails or takes too long; with what it said.
    pub async fn run(&self, arguments: &[&str]) -> Result<String> {
        self.feed(arguments, None).await
    }

    /// The same, with something on its standard input.
    ///
    /// # Errors
    /// When it fails or takes too long; with what it said.
    pub async fn feed(&self, arguments: &[&str], input: Option<&str>) -> Result<String> {
        let shown = || format!("{} {}", self.words.join(" "), arguments.join(" "));
        let mut command = self.command(arguments);
        if input.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| {
                format!(
                    "{} cannot be started: install kubectl, or name it in KUBECTL",
                    self.words[0]
                )
            })?;
        let ended = async {
            if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
                pipe.write_all(input.as_bytes()).await?;
            }
            child.wait_with_output().await
        };
        let output = timeout(PATIENCE, ended)
            .await
            .with_context(|| format!("{}: no end after {PATIENCE:?}", shown()))??;
        ensure!(
            output.status.success(),
            "{}: {}",
            shown(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The Kubernetes API: `kubectl proxy` on a socket that is ours alone. One that stays is much cheaper than a kubectl for each
/// look, on a machine whose cores are being measured.
#[derive(Debug)]
pub struct Api {
    http: reqwest::Client,
    _proxy: Child,
    _folder: TempDir,
}

impl Api {
    /// Starts the proxy.
    ///
    /// # Errors
    /// When it does not start, or the cluster does not answer.
    pub async fn start(kubectl: &Kubectl) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("api");
        let argument = format!("--unix-socket={}", socket.display());
        let proxy = kubectl
            .command(&["proxy", &argument])
            .stdout(Stdio::null())
            .spawn()
            .context("kubectl cannot be started: install it, or name it in KUBECTL")?;
        listening(&socket).await?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .unix_socket(socket)
            .timeout(Duration::from_secs(10))
            .build()?;
        let api = Self {
            http,
            _proxy: proxy,
            _folder: folder,
        };
        api.get("/version").await.context("the cluster does not answer")?;
        Ok(api)
    }

    /// What is at a path; None where nothing is.
    ///
    /// # Errors
    /// When the API does not answer, or refuses.
    pub async fn get(&self, path: &str) -> Result<Option<Value>> {
        let response = self.http.get(format!("http://localhost{path}")).send().await?;
        let status = response.status();
        if status.as_u16() == 404 {
            return Ok(None);
        }
        let text = response.text().await?;
        ensure!(status.is_success(), "GET {path}: {status}: {}", text.trim());
        Ok(Some(
            serde_json::from_str(&text).with_context(|| format!("GET {path}"))?,
        ))
    }

    /// The items of a list.
    ///
    /// # Errors
    /// When the API does not answer, or refuses.
    pub async fn list(&self, path: &str) -> Result<Vec<Value>> {
        match self.get(path).await?.map(|mut list| list["items"].take()) {
            Some(Value::Array(items)) => Ok(items),
            Some(Value::Null) | None => Ok(Vec::new()),
            Some(other) => bail!("GET {path}: no list, but {other}"),
        }
    }
}

async fn listening(socket: &Path) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while tokio::net::UnixStream::connect(socket).await.is_err() {
        ensure!(
            Instant::now() < deadline,
            "kubectl proxy does not start: is the cluster there? Try `kubectl get nodes`"
        );
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
