//! Runs kubectl, without a shell or prompts.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read, Seek},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use clap::Args;

use super::{Error, pods::Container, shell_quote};

/// Limit for a pod list.
pub(super) const LIST_TIMEOUT: Duration = Duration::from_secs(60);

/// Limit for reading the current context from the kubeconfig.
const CONTEXT_TIMEOUT: Duration = Duration::from_secs(5);

/// Limit for one page of a pod list.
const REQUEST_TIMEOUT: &str = "--request-timeout=20s";

/// Maximum size of a pod list, about 20,000 pods. Parsing needs twice the memory.
const MAX_LIST_BYTES: u64 = 512 * 1024 * 1024;

/// Limit for kubectl to exit after closing its output.
const EXIT_GRACE: Duration = Duration::from_secs(5);

const MAX_POLL_INTERVAL: Duration = Duration::from_millis(50);

const MAX_STDERR_BYTES: u64 = 16 * 1024;

/// kubectl, and its cluster.
#[derive(Args, Clone, Debug)]
pub struct KubectlProgram {
    /// Context of the kubeconfig [default: the current context]
    #[arg(id = "kube-context", long = "kube-context", value_name = "NAME")]
    pub context: Option<String>,
    /// Kubeconfig [default: KUBECONFIG or ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// kubectl executable
    #[arg(
        id = "kubectl",
        long = "kubectl",
        value_name = "PROGRAM",
        env = "LOGQ_KUBECTL",
        default_value = "kubectl",
        hide = true
    )]
    pub path: PathBuf,
}

impl Default for KubectlProgram {
    fn default() -> Self {
        Self {
            context: None,
            kubeconfig: None,
            path: PathBuf::from("kubectl"),
        }
    }
}

/// Which pods to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Empty for all namespaces.
    pub namespaces: Vec<String>,
    pub selector: Option<String>,
}

/// Options of `kubectl logs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Lines of the previous start.
    pub previous: bool,
    pub since: Option<line::Time>,
    /// Only the newest lines; None for all.
    pub tail: Option<usize>,
    pub follow: bool,
}

impl KubectlProgram {
    /// The commands that list the pods.
    #[must_use]
    pub fn list_commands(&self, scope: &Scope) -> Vec<Vec<OsString>> {
        let mut namespace_arguments: Vec<String> = scope
            .namespaces
            .iter()
            .map(|namespace| format!("--namespace={namespace}"))
            .collect();
        if namespace_arguments.is_empty() {
            namespace_arguments.push("--all-namespaces".to_owned());
        }
        let selector = scope.selector.as_ref().map(|text| format!("--selector={text}"));
        let list = |namespace: String| {
            let fixed = ["get", "pods"].map(str::to_owned);
            let output = ["--output=json", REQUEST_TIMEOUT].map(str::to_owned);
            let rest = [namespace].into_iter().chain(selector.clone()).chain(output);
            self.with_cluster_arguments(fixed.into_iter().chain(rest))
        };
        namespace_arguments.into_iter().map(list).collect()
    }

    /// The command that reads a container's lines. It has no request timeout, which would cut a long log.
    #[must_use]
    pub fn log_command(&self, container: &Container, options: LogOptions) -> Vec<OsString> {
        let place = &container.place;
        let mut arguments = vec![
            "logs".to_owned(),
            format!("--namespace={}", place.namespace),
            format!("--container={}", place.container),
            "--timestamps=true".to_owned(),
            options
                .tail
                .map_or("--tail=-1".to_owned(), |most| format!("--tail={most}")),
        ];
        if let Some(since) = options.since {
            arguments.push(format!("--since-time={since}"));
        }
        if options.previous {
            arguments.push("--previous=true".to_owned());
        }
        if options.follow {
            arguments.push("--follow=true".to_owned());
        }
        arguments.push(format!("pod/{}", place.pod));
        self.with_cluster_arguments(arguments)
    }

    /// Adds the options that select the cluster.
    #[must_use]
    pub fn with_cluster_arguments(&self, more: impl IntoIterator<Item = String>) -> Vec<OsString> {
        let mut all: Vec<OsString> = more.into_iter().map(OsString::from).collect();
        if let Some(context) = &self.context {
            all.push(format!("--context={context}").into());
        }
        if let Some(kubeconfig) = &self.kubeconfig {
            let mut argument = OsString::from("--kubeconfig=");
            argument.push(kubeconfig);
            all.push(argument);
        }
        all
    }

    /// The name of the context; None if kubectl has none, for example in a pod.
    #[must_use]
    pub fn context_name(&self) -> Option<String> {
        let current = || {
            let arguments = self.with_cluster_arguments(["config", "current-context"].map(str::to_owned));
            let name = self.run_within(&arguments, CONTEXT_TIMEOUT).ok()?;
            Some(String::from_utf8_lossy(&name).trim().to_owned())
        };
        self.context.clone().or_else(current)
    }

    /// Runs kubectl and returns its output.
    ///
    /// # Errors
    /// [`Error`].
    pub fn run_to_end(&self, arguments: &[OsString]) -> Result<Vec<u8>, Error> {
        self.run_within(arguments, LIST_TIMEOUT)
    }

    /// The same with a timeout.
    ///
    /// # Errors
    /// [`Error`].
    pub fn run_within(&self, arguments: &[OsString], timeout: Duration) -> Result<Vec<u8>, Error> {
        let (process, output) = self.spawn(arguments)?;
        let (done, result) = mpsc::channel();
        thread::spawn(move || {
            let mut json = Vec::new();
            let read = output.take(MAX_LIST_BYTES + 1).read_to_end(&mut json);
            // The receiver may be gone.
            let _ = done.send(read.map(|_| json));
        });
        let Ok(read) = result.recv_timeout(timeout) else {
            return Err(Error::Timeout(timeout));
        };
        if read.as_ref().is_ok_and(|json| json.len() as u64 > MAX_LIST_BYTES) {
            return Err(Error::ListTooLong(MAX_LIST_BYTES >> 20));
        }
        match process.wait() {
            Ok(None) => read.map_err(|error| self.spawn_error(error)),
            Ok(Some(stderr)) => Err(Error::from_list_stderr(&stderr)),
            Err(error) => Err(self.spawn_error(error)),
        }
    }

    /// Starts kubectl.
    pub(super) fn spawn(&self, arguments: &[OsString]) -> Result<(KubectlProcess, ChildStdout), Error> {
        let stderr = tempfile::tempfile().map_err(|error| self.spawn_error(error))?;
        let errors = stderr.try_clone().map_err(|error| self.spawn_error(error))?;
        let mut child = Command::new(&self.path)
            .args(arguments)
            // logq parses the messages, and there is no user to prompt.
            .env("LC_ALL", "C")
            .env_remove("LANGUAGE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .map_err(|error| self.spawn_error(error))?;
        let output = child.stdout.take().ok_or_else(|| {
            let error = io::Error::other("it has no standard output");
            self.spawn_error(error)
        })?;
        let child = Arc::new(Mutex::new(Some(child)));
        Ok((KubectlProcess { child, stderr }, output))
    }

    /// The command, quoted for a shell.
    #[must_use]
    pub fn command_line(&self, arguments: &[OsString]) -> String {
        let program = shell_quote(&self.path.to_string_lossy());
        let arguments = arguments.iter().map(|word| shell_quote(&word.to_string_lossy()));
        let last_message: Vec<String> = [program].into_iter().chain(arguments).collect();
        last_message.join(" ")
    }

    pub(crate) fn spawn_error(&self, error: io::Error) -> Error {
        Error::from_spawn(self.path.as_os_str(), error)
    }
}

/// A running kubectl. Dropping it kills the process.
#[derive(Debug)]
pub(super) struct KubectlProcess {
    child: Arc<Mutex<Option<Child>>>,
    stderr: File,
}

/// Kills a running kubectl from another thread.
#[derive(Clone, Debug, Default)]
pub(super) struct KillHandle(Arc<Mutex<Option<Child>>>);

impl KillHandle {
    pub(super) fn kill(&self) {
        let child = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut child) = child {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl KubectlProcess {
    pub(super) fn kill_handle(&self) -> KillHandle {
        KillHandle(Arc::clone(&self.child))
    }

    /// Whether it succeeded; false if it failed or was killed, None while it runs.
    fn try_exit_success(&self) -> io::Result<Option<bool>> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(child) = child.as_mut() else {
            return Ok(Some(false));
        };
        Ok(child.try_wait()?.map(|status| status.success()))
    }

    /// Waits for the end. Returns kubectl's message if it failed, was killed or does not exit.
    pub(super) fn wait(mut self) -> io::Result<Option<String>> {
        let started = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            // Do not hold the lock while sleeping: another thread may kill the process.
            match self.try_exit_success()? {
                Some(true) => return Ok(None),
                Some(false) => break,
                None if started.elapsed() >= EXIT_GRACE => {
                    return Ok(Some(format!(
                        "it closed its output but did not exit within {EXIT_GRACE:?}, so logq killed it; \
                         lines may be missing"
                    )));
                }
                None => thread::sleep(pause),
            }
            pause = (pause * 2).min(MAX_POLL_INTERVAL);
        }
        let mut stderr = Vec::new();
        self.stderr.rewind()?;
        (&mut self.stderr)
            .take(MAX_STDERR_BYTES)
            .read_to_end(&mut stderr)?;
        Ok(Some(String::from_utf8_lossy(&stderr).into_owned()))
    }
}

impl Drop for KubectlProcess {
    fn drop(&mut self) {
        self.kill_handle().kill();
    }
}
