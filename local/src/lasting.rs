//! A stack that goes on when the program that started it ends, and is found again by the next one.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::access::{ObjectStoreAccess, OpenSearchAccess, PostgresAccess, RabbitMqAccess};
use crate::carrier::Carrier;
use crate::directory;
use crate::error::{Context, Error, Result};
use crate::node::Node;
use crate::process::{Daemon, DaemonRecord, Identity, Lifetime, journal};
use crate::runtime_library::project;
use crate::server::{Server, ServerRecord};
use crate::service::{Service, ServiceRecord};
use crate::site::Site;
use crate::stack::{Stack, start_opensearch};

/// Where the stack is kept, when not in the project.
const DIRECTORY: &str = "LOCAL_DIRECTORY";

const PATIENCE: Duration = Duration::from_secs(40);

/// The one lasting stack of this project: servers and, if wanted, services. Its files are in `.local` of the project.
///
/// While this value exists no other program can change the stack.
#[derive(Debug)]
pub struct Lasting {
    stack: Stack,
    services: Vec<(String, Service)>,
    node: Arc<Node>,
    /// What brings the lines to OpenSearch.
    carrier: Mutex<Vec<Daemon>>,
    places: Places,
    _lock: File,
}

/// One line about the stack.
#[derive(Debug)]
pub struct Line {
    /// The process's name.
    pub name: String,
    /// Its process id, when it runs.
    pub pid: i32,
}

#[derive(Debug)]
struct Places {
    data: PathBuf,
    state: PathBuf,
    journal: PathBuf,
    lock: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    directory: PathBuf,
    postgres: ServerRecord<PostgresAccess>,
    rabbitmq: ServerRecord<RabbitMqAccess>,
    object_store: ServerRecord<ObjectStoreAccess>,
    #[serde(default)]
    opensearch: Option<ServerRecord<OpenSearchAccess>>,
    services: Vec<(String, ServiceRecord)>,
    #[serde(default)]
    carrier: Vec<DaemonRecord>,
}

impl Places {
    fn find() -> Result<Self> {
        let base = env::var_os(DIRECTORY).map_or_else(|| project().join(".local"), PathBuf::from);
        fs::create_dir_all(&base).context(|| format!("cannot create {}", base.display()))?;
        Ok(Self {
            data: base.join("stack"),
            state: base.join("stack.json"),
            journal: base.join("stack.processes"),
            lock: base.join("stack.lock"),
        })
    }

    /// Waits for nobody: two who change the stack at the same time are a mistake to be told.
    fn lock(&self) -> Result<File> {
        let what = || format!("cannot lock {}", self.lock.display());
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.lock)
            .context(what)?;
        file.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => {
                Error::request("the stack is changed", "another `local` is at it")
            }
            fs::TryLockError::Error(source) => Error::Io { what: what(), source },
        })?;
        Ok(file)
    }

    fn read(&self) -> Option<State> {
        serde_json::from_slice(&fs::read(&self.state).ok()?).ok()
    }

    fn write(&self, state: &State) -> Result<()> {
        let text = serde_json::to_vec_pretty(state)
            .map_err(|error| Error::request("the stack is written down", error))?;
        let new = self.state.with_extension("new");
        // It holds passwords.
        OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&new)
            .and_then(|mut file| file.write_all(&text))
            .and_then(|()| fs::rename(&new, &self.state))
            .context(|| format!("cannot write {}", self.state.display()))
    }
}

impl Lasting {
    /// Finds the stack and starts again what of it has died, or starts a new one.
    ///
    /// # Errors
    /// As [`Stack`]; also when another program is changing the stack.
    pub async fn start() -> Result<Self> {
        let places = Places::find()?;
        let lock = places.lock()?;
        match places.read() {
            Some(state) => Self::found(places, lock, state).await,
            None => Self::new(places, lock).await,
        }
    }

    async fn new(places: Places, lock: File) -> Result<Self> {
        end_processes(&places.journal)?;
        remove(&places.data)?;
        let data = directory::lasting(&places.data)?;
        let node = Arc::new(Node::at(&data)?);
        let stack = Stack::builder()
            .lasting(data, places.journal.clone(), Arc::clone(&node))
            .start()
            .await?;
        Ok(Self {
            stack,
            services: Vec::new(),
            node,
            carrier: Mutex::default(),
            places,
            _lock: lock,
        })
    }

    async fn found(places: Places, lock: File, state: State) -> Result<Self> {
        let node = Arc::new(Node::at(&state.directory)?);
        let carrier: Vec<Daemon> = state.carrier.into_iter().map(Daemon::found).collect();
        let stack = Stack {
            postgres: Server::found("postgres", state.postgres),
            rabbitmq: Server::found("rabbitmq", state.rabbitmq),
            object_store: Server::found("object-store", state.object_store),
            opensearch: state
                .opensearch
                .map(|record| Ok(Server::found("opensearch", record))),
            directory: state.directory,
            _temporary: None,
        };
        let services: Vec<_> = state
            .services
            .into_iter()
            .map(|(name, record)| (name, Service::found(record)))
            .collect();

        // A program that was interrupted has started what it could not write down.
        let mut known: Vec<Identity> = services
            .iter()
            .filter_map(|(_, service)| service.identity())
            .collect();
        known.extend(stack.identities().await);
        known.extend(carrier.iter().filter_map(Daemon::identity));
        for (identity, name) in journal::alive(&places.journal) {
            if !known.contains(&identity) && !name.starts_with(journal::WRITER) {
                identity.end(&name, ending(&name), PATIENCE)?;
            }
        }

        let revived = tokio::try_join!(
            stack.postgres.revive(),
            stack.rabbitmq.revive(),
            stack.object_store.revive(),
            async {
                match stack.opensearch() {
                    Ok(opensearch) => opensearch.revive().await,
                    Err(_) => Ok(()),
                }
            },
        );
        let found = Self {
            stack,
            services,
            node,
            carrier: Mutex::new(carrier),
            places,
            _lock: lock,
        };
        match revived {
            Ok(_) => Ok(found),
            Err(error) => {
                found.keep().await?;
                Err(error)
            }
        }
    }

    /// The servers.
    #[must_use]
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// Where the stack's files are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.stack.directory
    }

    /// The service of this name, if it was started.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services
            .iter()
            .find_map(|(known, service)| (known == name).then_some(service))
    }

    /// Starts OpenSearch beside the other servers, unless it runs or the machine cannot have it, and does not wait for it.
    ///
    /// # Errors
    /// [`Error::NotInstalled`] when the machine could have it.
    pub fn search(&mut self) -> Result<()> {
        if self.stack.opensearch().is_ok() {
            return Ok(());
        }
        self.stack.opensearch = Some(match OpenSearchAccess::from_outside() {
            Some(access) => Ok(Server::given("opensearch", access)),
            None => start_opensearch(self.site())?,
        });
        Ok(())
    }

    fn site(&self) -> Site<'_> {
        Site {
            directory: &self.stack.directory,
            lasting: Some((&self.places.journal, &self.node)),
        }
    }

    /// The folder of the logs of all processes, as the kubelet keeps those of pods.
    #[must_use]
    pub fn pods(&self) -> PathBuf {
        self.node.pods()
    }

    /// Sees that all lines, those that are there and those that come, are brought to OpenSearch, which must have its templates by
    /// now: with the settings that hold now, and by what this machine has.
    ///
    /// # Errors
    /// When there is no OpenSearch; [`Error::NotBuilt`].
    pub async fn carry(&self) -> Result<Carrier> {
        let opensearch = self.stack.opensearch();
        let opensearch = opensearch.map_err(|reason| Error::request("lines are carried", reason))?;
        let mut running = self.carrier.lock().await;
        let carrier = Carrier::of_this_machine();
        let runs = carrier.is(&running) && running.iter().all(Daemon::is_well);
        if !runs {
            for daemon in running.iter_mut().rev() {
                daemon.stop(Signal::SIGTERM, PATIENCE)?;
            }
            *running = carrier.daemons(self.site(), opensearch.access())?;
            running.iter_mut().try_for_each(Daemon::start)?;
        }
        Ok(carrier)
    }

    /// Sees that a service runs, as it was built last: it is started, or started anew, where that is needed.
    ///
    /// # Errors
    /// [`Error::NotBuilt`], [`Error::NotReady`].
    pub async fn serve(&mut self, name: &str) -> Result<()> {
        let mut environment = self.stack.environment();
        environment.extend(self.node.environment(name)?);
        if let Some((_, service)) = self.services.iter_mut().find(|(known, _)| known == name) {
            return service.renew(&environment).await;
        }
        let mut service = Service::at(
            name,
            &environment,
            self.node.output(name)?,
            Lifetime::Detached(self.places.journal.clone()),
            None,
        )?;
        service.start().await?;
        self.services.push((name.to_owned(), service));
        Ok(())
    }

    /// Writes down what runs and lets it go on.
    ///
    /// # Errors
    /// When it cannot be written down; then what was started now is ended.
    pub async fn keep(mut self) -> Result<()> {
        let services = self
            .services
            .iter_mut()
            .map(|(name, service)| (name.clone(), service.keep()))
            .collect();
        let mut carrier = self.carrier.lock().await;
        carrier.iter_mut().for_each(Daemon::keep);
        let carrier = carrier.iter().map(Daemon::record).collect();
        let state = State {
            carrier,
            directory: self.stack.directory.clone(),
            postgres: self.stack.postgres.keep().await,
            rabbitmq: self.stack.rabbitmq.keep().await,
            object_store: self.stack.object_store.keep().await,
            opensearch: match self.stack.opensearch() {
                Ok(opensearch) => Some(opensearch.keep().await),
                Err(_) => None,
            },
            services,
        };
        self.places.write(&state)
    }

    /// The processes that run now.
    ///
    /// # Errors
    /// When the project's `.local` cannot be used.
    pub fn running() -> Result<Vec<Line>> {
        let journal = Places::find()?.journal;
        Ok(journal::alive(&journal)
            .into_iter()
            .filter(|(_, name)| !name.starts_with(journal::WRITER))
            .map(|(Identity { pid, .. }, name)| Line { name, pid })
            .collect())
    }

    /// Ends exactly the processes that were started, services first, and removes the stack's files. Returns what was ended.
    ///
    /// # Errors
    /// [`Error::Immortal`] when a process does not go away; the files stay then.
    pub fn down() -> Result<Vec<Line>> {
        let places = Places::find()?;
        let lock = places.lock()?;
        let ended = end_processes(&places.journal)?;
        if let Some(state) = places.read() {
            remove(&state.directory)?;
        }
        remove(&places.data)?;
        for file in [&places.state, &places.journal] {
            if file.exists() {
                fs::remove_file(file).context(|| format!("cannot remove {}", file.display()))?;
            }
        }
        drop(lock);
        Ok(ended)
    }
}

fn remove(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).context(|| format!("cannot remove {}", directory.display()))?;
    }
    Ok(())
}

/// Ends the processes of the journal that still run: services before the servers that they use, and a server before what it needs.
fn end_processes(journal: &Path) -> Result<Vec<Line>> {
    let alive = journal::alive(journal).into_iter();
    let (writers, mut alive): (Vec<_>, Vec<_>) =
        alive.partition(|(_, name)| name.starts_with(journal::WRITER));
    alive.reverse();
    alive.sort_by_key(|(_, name)| {
        SERVERS
            .iter()
            .position(|server| server == name)
            .map_or(0, |place| place + 1)
    });
    let mut ended = Vec::new();
    for (identity, name) in alive {
        identity.end(&name, ending(&name), PATIENCE)?;
        ended.push(Line {
            name,
            pid: identity.pid,
        });
    }
    for (writer, name) in writers {
        writer.ends(&name, PATIENCE)?;
    }
    Ok(ended)
}

/// The servers' processes in the order in which they are ended, after everything else.
const SERVERS: [&str; 5] = ["OpenSearch", "S3 server", "RabbitMQ", "epmd", "PostgreSQL"];

/// PostgreSQL's SIGINT is its fast shutdown; SIGTERM would wait for sessions to leave.
fn ending(name: &str) -> Signal {
    if name == "PostgreSQL" {
        Signal::SIGINT
    } else {
        Signal::SIGTERM
    }
}
