//! Runs `kubectl`, and uses the Kubernetes API through `kubectl proxy`.

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
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// `kubectl`, or the command in KUBECTL. It uses its own current context.
#[derive(Clone, Debug)]
pub struct Kubectl {
    words: Vec<String>,
}

impl Kubectl {
    pub fn from_environment() -> Self {
        let text = env::var("KUBECTL").unwrap_or_default();
        let mut words: Vec<String> = text.split_whitespace().map(ToOwned::to_owned).collect();
        if words.is_empty() {
            words.push("kubectl".to_owned());
        }
        Self { words }
    }

    /// A command that is killed when it is dropped.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.words[0]);
        command
            .args(&self.words[1..])
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs a command whose arguments contain no spaces, and returns its standard output.
    ///
    /// # Errors
    /// When it fails (with its standard error) or takes more than 120 s.
    pub async fn run(&self, arguments: &str) -> Result<String> {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        self.run_with_input(&arguments, None).await
    }

    /// As [`Self::run`], with any arguments and this standard input.
    pub async fn run_with_input(&self, arguments: &[&str], input: Option<&str>) -> Result<String> {
        let command_line = || format!("{} {}", self.words.join(" "), arguments.join(" "));
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
                    "cannot start {}: install kubectl, or name it in KUBECTL",
                    self.words[0]
                )
            })?;
        let finished = async {
            if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
                pipe.write_all(input.as_bytes()).await?;
            }
            child.wait_with_output().await
        };
        let output = timeout(TIME_LIMIT, finished)
            .await
            .with_context(|| format!("{}: still runs after {TIME_LIMIT:?}", command_line()))??;
        ensure!(
            output.status.success(),
            "{}: {}",
            command_line(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The Kubernetes API, through one `kubectl proxy` on a private socket. This costs much less CPU time than one kubectl for each
/// request, which matters on a machine that is being measured.
#[derive(Debug)]
pub struct KubernetesApi {
    http: reqwest::Client,
    _proxy: Child,
    _folder: TempDir,
}

impl KubernetesApi {
    /// Starts the proxy.
    pub async fn start(kubectl: &Kubectl) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("api");
        let argument = format!("--unix-socket={}", socket.display());
        let proxy = kubectl
            .command(&["proxy", &argument])
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start kubectl: install it, or name it in KUBECTL")?;
        wait_for_socket(&socket).await?;
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

    /// The object at a path; `None` for 404.
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
    pub async fn list(&self, path: &str) -> Result<Vec<Value>> {
        match self.get(path).await?.map(|mut list| list["items"].take()) {
            Some(Value::Array(items)) => Ok(items),
            Some(Value::Null) | None => Ok(Vec::new()),
            Some(other) => bail!("GET {path}: not a list: {other}"),
        }
    }
}

async fn wait_for_socket(socket: &Path) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while tokio::net::UnixStream::connect(socket).await.is_err() {
        ensure!(
            Instant::now() < deadline,
            "kubectl proxy did not start within 20 s: check the cluster with `kubectl get nodes`"
        );
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
