//! A stack that goes on when the program that started it ends, and is found again by the next one.

mod ending;
mod places;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::Mutex;

use self::ending::{end_processes, ending, remove};
use self::places::{Places, State, environment};
use crate::access::OpenSearchAccess;
use crate::carrier::Carrier;
use crate::directory;
use crate::error::{Context, Error, Result};
use crate::node::Node;
use crate::process::{Daemon, Identity, Lifetime, journal};
use crate::server::Server;
use crate::service::Service;
use crate::site::Site;
use crate::stack::{Stack, start_opensearch};

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

/// A process of the stack.
#[derive(Debug)]
pub struct Process {
    /// The process's name.
    pub name: String,
    /// Its process id, when it runs.
    pub pid: i32,
}

/// What runs, and how it is reached.
#[derive(Debug)]
pub struct Status {
    /// The processes.
    pub processes: Vec<Process>,
    /// What should run and does not, with the process id that it had.
    pub dead: Vec<Process>,
    /// What listens where: a name, and `host:port` or a URL.
    pub addresses: Vec<(String, String)>,
    /// The [file for shells](Lasting::environment).
    pub environment: Option<PathBuf>,
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
    /// now: with the settings that hold now, by what this machine has, and as that was built last.
    ///
    /// # Errors
    /// When there is no OpenSearch; [`Error::NotBuilt`].
    pub async fn carry(&self) -> Result<Carrier> {
        let opensearch = self.stack.opensearch();
        let opensearch = opensearch.map_err(|reason| Error::request("lines are carried", reason))?;
        let mut running = self.carrier.lock().await;
        let carrier = Carrier::of_this_machine();
        let wanted = carrier.daemons(self.site(), opensearch.access())?;
        let executables = |daemons: &[Daemon]| -> Vec<PathBuf> {
            daemons
                .iter()
                .map(|daemon| daemon.program().executable.clone())
                .collect()
        };
        let runs = executables(&running) == executables(&wanted) && running.iter().all(Daemon::is_current);
        if !runs {
            for daemon in running.iter_mut().rev() {
                daemon.stop(Signal::SIGTERM, PATIENCE)?;
            }
            *running = wanted;
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

    /// Sees that what was started before runs again, beside the servers: services, and what brings the lines.
    ///
    /// # Errors
    /// As [`Self::serve`] and [`Self::carry`].
    pub async fn revive(&mut self) -> Result<()> {
        let names: Vec<String> = self.services.iter().map(|(name, _)| name.clone()).collect();
        for name in names {
            self.serve(&name).await?;
        }
        if !self.carrier.lock().await.is_empty() {
            self.carry().await?;
        }
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

    /// What runs now. What another program has started and not yet written down has no address.
    ///
    /// # Errors
    /// When the project's `.local` cannot be used.
    pub fn status() -> Result<Status> {
        let places = Places::find()?;
        let processes: Vec<Process> = journal::alive(&places.journal)
            .into_iter()
            .filter(|(_, name)| !name.starts_with(journal::WRITER))
            .map(|(Identity { pid, .. }, name)| Process { name, pid })
            .collect();
        let state = places.read();
        let runs = |name: &str| processes.iter().any(|process| process.name == name);
        let dead = state.iter().flat_map(State::daemons).filter_map(|daemon| {
            let name = daemon.program.name.clone();
            let pid = daemon.identity?.pid;
            (!runs(&name)).then_some(Process { name, pid })
        });
        let dead = dead.collect();
        let state = state.filter(|_| !processes.is_empty());
        Ok(Status {
            processes,
            dead,
            addresses: state.as_ref().map(State::addresses).unwrap_or_default(),
            environment: state.map(|state| environment(&state.directory)),
        })
    }

    /// The file in which a shell finds what programs are told of this stack.
    #[must_use]
    pub fn environment(&self) -> PathBuf {
        environment(&self.stack.directory)
    }

    /// Ends exactly the processes that were started, services first, and removes the stack's files. Returns what was ended.
    ///
    /// # Errors
    /// [`Error::Immortal`] when a process does not go away; the files stay then.
    pub fn down() -> Result<Vec<Process>> {
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
