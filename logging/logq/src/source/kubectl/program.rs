//! How kubectl is called: no shell, no question to a terminal.

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

/// How long a list of pods may take.
pub(super) const LIST_TIMEOUT: Duration = Duration::from_secs(60);

/// How long kubectl may take to say which context it asks: it reads a file.
const CONTEXT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the cluster may take for a part of that list.
const REQUEST_TIMEOUT: &str = "--request-timeout=20s";

/// Most that it may print for a list: some 20,000 pods, of which each takes
/// twice that in memory while it is read.
const MAX_LIST_BYTES: u64 = 512 * 1024 * 1024;

/// How long it may take to end when it has closed its output.
const EXIT_GRACE: Duration = Duration::from_secs(5);

/// Between two looks whether it has ended, at most.
const MAX_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Most of what kubectl says when something is wrong.
const MAX_STDERR_BYTES: u64 = 16 * 1024;

/// `kubectl`, and which cluster it asks.
#[derive(Args, Clone, Debug)]
pub struct KubectlProgram {
    /// The context of the kubeconfig whose cluster is asked, in place of the current one
    #[arg(id = "kube-context", long = "kube-context", value_name = "NAME")]
    pub context: Option<String>,
    /// The kubeconfig that kubectl takes, in place of KUBECONFIG or ~/.kube/config
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The program kubectl
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

/// Of which pods a list is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Of these namespaces; of all when there are none.
    pub namespaces: Vec<String>,
    /// With these labels.
    pub selector: Option<String>,
}

/// Which lines of a container are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Those of its start before this one.
    pub previous: bool,
    /// Not those before.
    pub since: Option<line::Time>,
    /// The newest so many; without it all.
    pub tail: Option<usize>,
    /// Also those that come.
    pub follow: bool,
}

impl KubectlProgram {
    /// The arguments of each list of pods that is needed.
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

    /// The arguments for lines of a container. There is no time limit: kubectl
    /// would end within a long log.
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

    /// These arguments, and those that say which cluster is asked.
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

    /// The context whose cluster is asked; none where kubectl has none, as in a pod.
    #[must_use]
    pub fn context_name(&self) -> Option<String> {
        let current = || {
            let arguments = self.with_cluster_arguments(["config", "current-context"].map(str::to_owned));
            let name = self.run_within(&arguments, CONTEXT_TIMEOUT).ok()?;
            Some(String::from_utf8_lossy(&name).trim().to_owned())
        };
        self.context.clone().or_else(current)
    }

    /// What it prints for a list of pods, or whatever else it is asked for.
    ///
    /// # Errors
    /// [`Error`].
    pub fn run_to_end(&self, arguments: &[OsString]) -> Result<Vec<u8>, Error> {
        self.run_within(arguments, LIST_TIMEOUT)
    }

    /// The same, within so much time.
    ///
    /// # Errors
    /// [`Error`].
    pub fn run_within(&self, arguments: &[OsString], timeout: Duration) -> Result<Vec<u8>, Error> {
        let (process, output) = self.spawn(arguments)?;
        let (done, result) = mpsc::channel();
        thread::spawn(move || {
            let mut json = Vec::new();
            let read = output.take(MAX_LIST_BYTES + 1).read_to_end(&mut json);
            // Who does not wait any more needs nothing.
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

    /// Starts it.
    pub(super) fn spawn(&self, arguments: &[OsString]) -> Result<(KubectlProcess, ChildStdout), Error> {
        let stderr = tempfile::tempfile().map_err(|error| self.spawn_error(error))?;
        let errors = stderr.try_clone().map_err(|error| self.spawn_error(error))?;
        let mut child = Command::new(&self.path)
            .args(arguments)
            // What it says is read here, and nobody is there to be asked.
            .env("LC_ALL", "C")
            .env_remove("LANGUAGE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .map_err(|error| self.spawn_error(error))?;
        let output = child.stdout.take().ok_or_else(|| {
            let error = io::Error::other("it has no output");
            self.spawn_error(error)
        })?;
        let child = Arc::new(Mutex::new(Some(child)));
        Ok((KubectlProcess { child, stderr }, output))
    }

    /// A call as a shell takes it.
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

/// kubectl while it runs. Ended when this is forgotten.
#[derive(Debug)]
pub(super) struct KubectlProcess {
    child: Arc<Mutex<Option<Child>>>,
    stderr: File,
}

/// What ends a running kubectl from elsewhere.
#[derive(Clone, Debug, Default)]
pub(super) struct KillHandle(Arc<Mutex<Option<Child>>>);

impl KillHandle {
    /// Ends it, if it has not ended.
    pub(super) fn kill(&self) {
        let child = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut child) = child {
            // It may have ended just now.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl KubectlProcess {
    /// What ends it from elsewhere.
    pub(super) fn kill_handle(&self) -> KillHandle {
        KillHandle(Arc::clone(&self.child))
    }

    /// Whether it has done what it was asked, or was ended; none while it runs.
    fn try_exit_success(&self) -> io::Result<Option<bool>> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(child) = child.as_mut() else {
            return Ok(Some(false));
        };
        Ok(child.try_wait()?.map(|status| status.success()))
    }

    /// Waits for its end, for which it has everything; gives what it says if it failed, was ended, or stays.
    pub(super) fn wait(mut self) -> io::Result<Option<String>> {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            // Not held while one waits: it can be ended from elsewhere.
            match self.try_exit_success()? {
                Some(true) => return Ok(None),
                Some(false) => break,
                None if begun.elapsed() >= EXIT_GRACE => {
                    return Ok(Some(format!(
                        "it closed its output and was still there {EXIT_GRACE:?} later, so that it was ended: \
                         something may be missing"
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
