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

use super::{Error, pods::Container, quoted};

/// How long a list of pods may take.
pub(super) const LIST_PATIENCE: Duration = Duration::from_secs(60);

/// How long kubectl may take to say which context it asks: it reads a file.
const CONTEXT_PATIENCE: Duration = Duration::from_secs(5);

/// How long the cluster may take for a part of that list.
const REQUEST_TIMEOUT: &str = "--request-timeout=20s";

/// Most that it may print for a list: some 20,000 pods, of which each takes
/// twice that in memory while it is read.
const MOST_LIST_BYTES: u64 = 512 * 1024 * 1024;

/// How long it may take to end when it has closed its output.
const LEAVE: Duration = Duration::from_secs(5);

/// Between two looks whether it has ended, at most.
const MOST_PAUSE: Duration = Duration::from_millis(50);

/// Most of what kubectl says when something is wrong.
const MOST_SAID_BYTES: u64 = 16 * 1024;

/// `kubectl`, and which cluster it asks.
#[derive(Args, Clone, Debug)]
pub struct Program {
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

impl Default for Program {
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
pub struct Asked {
    /// Those of its start before this one.
    pub previous: bool,
    /// Not those before.
    pub since: Option<line::Time>,
    /// The newest so many; without it all.
    pub tail: Option<usize>,
    /// Also those that come.
    pub follow: bool,
}

impl Program {
    /// The arguments of each list of pods that is needed.
    #[must_use]
    pub fn lists(&self, scope: &Scope) -> Vec<Vec<OsString>> {
        let mut places: Vec<String> = scope
            .namespaces
            .iter()
            .map(|namespace| format!("--namespace={namespace}"))
            .collect();
        if places.is_empty() {
            places.push("--all-namespaces".to_owned());
        }
        let selector = scope.selector.as_ref().map(|text| format!("--selector={text}"));
        let list = |place: String| {
            let fixed = ["get", "pods"].map(str::to_owned);
            let output = ["--output=json", REQUEST_TIMEOUT].map(str::to_owned);
            let rest = [place].into_iter().chain(selector.clone()).chain(output);
            self.arguments(fixed.into_iter().chain(rest))
        };
        places.into_iter().map(list).collect()
    }

    /// The arguments for lines of a container. There is no time limit: kubectl
    /// would end within a long log.
    #[must_use]
    pub fn logs(&self, container: &Container, asked: Asked) -> Vec<OsString> {
        let place = &container.place;
        let mut arguments = vec![
            "logs".to_owned(),
            format!("--namespace={}", place.namespace),
            format!("--container={}", place.container),
            "--timestamps=true".to_owned(),
            asked
                .tail
                .map_or("--tail=-1".to_owned(), |most| format!("--tail={most}")),
        ];
        if let Some(since) = asked.since {
            arguments.push(format!("--since-time={since}"));
        }
        if asked.previous {
            arguments.push("--previous=true".to_owned());
        }
        if asked.follow {
            arguments.push("--follow=true".to_owned());
        }
        arguments.push(format!("pod/{}", place.pod));
        self.arguments(arguments)
    }

    /// These arguments, and those that say which cluster is asked.
    #[must_use]
    pub fn arguments(&self, more: impl IntoIterator<Item = String>) -> Vec<OsString> {
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
            let arguments = self.arguments(["config", "current-context"].map(str::to_owned));
            let name = self.list_within(&arguments, CONTEXT_PATIENCE).ok()?;
            Some(String::from_utf8_lossy(&name).trim().to_owned())
        };
        self.context.clone().or_else(current)
    }

    /// What it prints for a list of pods, or whatever else it is asked for.
    ///
    /// # Errors
    /// [`Error`].
    pub fn list(&self, arguments: &[OsString]) -> Result<Vec<u8>, Error> {
        self.list_within(arguments, LIST_PATIENCE)
    }

    /// The same, within so much time.
    ///
    /// # Errors
    /// [`Error`].
    pub fn list_within(&self, arguments: &[OsString], patience: Duration) -> Result<Vec<u8>, Error> {
        let (running, output) = self.run(arguments)?;
        let (done, result) = mpsc::channel();
        thread::spawn(move || {
            let mut json = Vec::new();
            let read = output.take(MOST_LIST_BYTES + 1).read_to_end(&mut json);
            // Who does not wait any more needs nothing.
            let _ = done.send(read.map(|_| json));
        });
        let Ok(read) = result.recv_timeout(patience) else {
            return Err(Error::Late(patience));
        };
        if read
            .as_ref()
            .is_ok_and(|json| json.len() as u64 > MOST_LIST_BYTES)
        {
            return Err(Error::Long(MOST_LIST_BYTES >> 20));
        }
        match running.end() {
            Ok(None) => read.map_err(|error| self.failed(error)),
            Ok(Some(said)) => Err(Error::listing(&said)),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Starts it.
    pub(super) fn run(&self, arguments: &[OsString]) -> Result<(Running, ChildStdout), Error> {
        let said = tempfile::tempfile().map_err(|error| self.failed(error))?;
        let errors = said.try_clone().map_err(|error| self.failed(error))?;
        let mut child = Command::new(&self.path)
            .args(arguments)
            // What it says is read here, and nobody is there to be asked.
            .env("LC_ALL", "C")
            .env_remove("LANGUAGE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .map_err(|error| self.failed(error))?;
        let output = child.stdout.take().ok_or_else(|| {
            let error = io::Error::other("it has no output");
            self.failed(error)
        })?;
        let child = Arc::new(Mutex::new(Some(child)));
        Ok((Running { child, said }, output))
    }

    /// A call as a shell takes it.
    #[must_use]
    pub fn shown(&self, arguments: &[OsString]) -> String {
        let program = quoted(&self.path.to_string_lossy());
        let arguments = arguments.iter().map(|word| quoted(&word.to_string_lossy()));
        let words: Vec<String> = [program].into_iter().chain(arguments).collect();
        words.join(" ")
    }

    pub(crate) fn failed(&self, error: io::Error) -> Error {
        Error::start(self.path.as_os_str(), error)
    }
}

/// kubectl while it runs. Ended when this is forgotten.
#[derive(Debug)]
pub(super) struct Running {
    child: Arc<Mutex<Option<Child>>>,
    said: File,
}

/// What ends a running kubectl from elsewhere.
#[derive(Clone, Debug, Default)]
pub(super) struct Ender(Arc<Mutex<Option<Child>>>);

impl Ender {
    /// Ends it, if it has not ended.
    pub(super) fn end(&self) {
        let child = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut child) = child {
            // It may have ended just now.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Running {
    /// What ends it from elsewhere.
    pub(super) fn ender(&self) -> Ender {
        Ender(Arc::clone(&self.child))
    }

    /// Whether it has done what it was asked, or was ended; none while it runs.
    fn succeeded(&self) -> io::Result<Option<bool>> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(child) = child.as_mut() else {
            return Ok(Some(false));
        };
        Ok(child.try_wait()?.map(|status| status.success()))
    }

    /// Waits for its end, for which it has everything; gives what it says if it failed, was ended, or stays.
    pub(super) fn end(mut self) -> io::Result<Option<String>> {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            // Not held while one waits: it can be ended from elsewhere.
            match self.succeeded()? {
                Some(true) => return Ok(None),
                Some(false) => break,
                None if begun.elapsed() >= LEAVE => {
                    return Ok(Some(format!(
                        "it closed its output and was still there {LEAVE:?} later, so that it was ended: \
                         something may be missing"
                    )));
                }
                None => thread::sleep(pause),
            }
            pause = (pause * 2).min(MOST_PAUSE);
        }
        let mut said = Vec::new();
        self.said.rewind()?;
        (&mut self.said).take(MOST_SAID_BYTES).read_to_end(&mut said)?;
        Ok(Some(String::from_utf8_lossy(&said).into_owned()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.ender().end();
    }
}
