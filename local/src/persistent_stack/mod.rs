//! A stack that outlives the program that started it. The next program attaches to it again.

mod record;
mod shutdown;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::signal::Signal;
use tokio::sync::Mutex;

use self::record::{StackFiles, StackRecord, environment_file};
pub use self::shutdown::StackProcess;
use self::shutdown::{SHUTDOWN_LIMIT, end_processes, remove_directory, shutdown_signal};
use crate::error::{Context, Error, Result};
use crate::layout::{self, StackLayout};
use crate::log_shipper::LogShipper;
use crate::node::Node;
use crate::process::{Daemon, Lifetime, ProcessIdentity, journal};
use crate::server::Server;
use crate::service::Service;
use crate::stack::{Stack, start_opensearch};

/// The project's one persistent stack: servers and, on request, services. Its files are in `.local` of the project.
///
/// While this value exists, no other program can change the stack.
#[derive(Debug)]
pub struct PersistentStack {
    stack: Stack,
    services: Vec<(String, Service)>,
    node: Arc<Node>,
    /// The processes that ship log lines to OpenSearch.
    shipper: Mutex<Vec<Daemon>>,
    files: StackFiles,
    _lock: File,
}

/// The processes and addresses of the stack.
#[derive(Debug)]
pub struct StackStatus {
    pub running: Vec<StackProcess>,
    /// Processes that should run and do not.
    pub dead: Vec<StackProcess>,
    /// Names, each with `host:port` or a URL.
    pub addresses: Vec<(String, String)>,
    /// See [`PersistentStack::environment_file`].
    pub environment_file: Option<PathBuf>,
}

impl PersistentStack {
    /// Attaches to the stack and restarts its dead servers, or starts a new stack.
    ///
    /// # Errors
    /// As [`Stack`]; also when another program is changing the stack.
    pub async fn start() -> Result<Self> {
        let files = StackFiles::locate()?;
        let lock = files.lock()?;
        match files.read() {
            Some(record) => Self::attach(files, lock, record).await,
            None => Self::create(files, lock).await,
        }
    }

    async fn create(files: StackFiles, lock: File) -> Result<Self> {
        end_processes(&files.journal)?;
        remove_directory(&files.data)?;
        let data = layout::persistent_directory(&files.data)?;
        let node = Arc::new(Node::open(&data)?);
        let stack = Stack::builder()
            .persistent(data, files.journal.clone(), Arc::clone(&node))
            .start()
            .await?;
        Ok(Self {
            stack,
            services: Vec::new(),
            node,
            shipper: Mutex::default(),
            files,
            _lock: lock,
        })
    }

    async fn attach(files: StackFiles, lock: File, record: StackRecord) -> Result<Self> {
        let node = Arc::new(Node::open(&record.directory)?);
        let shipper: Vec<Daemon> = record.shipper.into_iter().map(Daemon::from_record).collect();
        let stack = Stack {
            postgres: Server::from_record(record.postgres),
            rabbitmq: Server::from_record(record.rabbitmq),
            object_store: Server::from_record(record.object_store),
            opensearch: record.opensearch.map(|server| Ok(Server::from_record(server))),
            directory: record.directory,
            _temporary: None,
        };
        let services: Vec<_> = record
            .services
            .into_iter()
            .map(|(name, daemon)| (name, Service::from_record(daemon)))
            .collect();

        // An interrupted program may have started processes that the record does not name.
        let mut recorded: Vec<ProcessIdentity> = services
            .iter()
            .filter_map(|(_, service)| service.identity())
            .collect();
        recorded.extend(stack.identities().await);
        recorded.extend(shipper.iter().filter_map(Daemon::identity));
        for (identity, name) in journal::alive(&files.journal) {
            if !recorded.contains(&identity) && !name.starts_with(journal::LOG_WRITER_PREFIX) {
                identity.end(&name, shutdown_signal(&name), SHUTDOWN_LIMIT)?;
            }
        }

        let restarted = tokio::try_join!(
            stack.postgres.start_if_dead(),
            stack.rabbitmq.start_if_dead(),
            stack.object_store.start_if_dead(),
            async {
                match stack.opensearch() {
                    Ok(opensearch) => opensearch.start_if_dead().await,
                    Err(_) => Ok(()),
                }
            },
        );
        let attached = Self {
            stack,
            services,
            node,
            shipper: Mutex::new(shipper),
            files,
            _lock: lock,
        };
        match restarted {
            Ok(_) => Ok(attached),
            Err(error) => {
                attached.detach().await?;
                Err(error)
            }
        }
    }

    /// The servers.
    #[must_use]
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The directory of the stack's files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.stack.directory
    }

    /// The service with this name, if it was started.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services
            .iter()
            .find_map(|(started, service)| (started == name).then_some(service))
    }

    /// Starts OpenSearch without waiting for it, unless it runs already or this machine cannot run it.
    ///
    /// # Errors
    /// [`Error::NotInstalled`] when the machine could run it and it is not installed.
    pub fn start_opensearch(&mut self) -> Result<()> {
        if self.stack.opensearch().is_ok() {
            return Ok(());
        }
        self.stack.opensearch = Some(start_opensearch(self.layout(), false)?);
        Ok(())
    }

    fn layout(&self) -> StackLayout<'_> {
        StackLayout {
            directory: &self.stack.directory,
            persistent: Some((&self.files.journal, &self.node)),
        }
    }

    /// The folder with the logs of all processes, in the kubelet's layout.
    #[must_use]
    pub fn pods_directory(&self) -> PathBuf {
        self.node.pods_directory()
    }

    /// Ships all log lines, old and new, to OpenSearch. Restarts a shipper whose program or settings have changed.
    ///
    /// OpenSearch must have its templates already.
    ///
    /// # Errors
    /// When there is no OpenSearch; [`Error::NotBuilt`].
    pub async fn ensure_log_shipper(&self) -> Result<LogShipper> {
        let opensearch = self.stack.opensearch();
        let opensearch = opensearch.map_err(|reason| Error::request("cannot ship log lines", reason))?;
        let mut running = self.shipper.lock().await;
        let shipper = LogShipper::installed();
        let daemons = shipper.daemons(self.layout(), opensearch.access())?;
        let executables = |daemons: &[Daemon]| -> Vec<PathBuf> {
            daemons
                .iter()
                .map(|daemon| daemon.program().executable.clone())
                .collect()
        };
        let is_current =
            executables(&running) == executables(&daemons) && running.iter().all(Daemon::is_current);
        if !is_current {
            for daemon in running.iter_mut().rev() {
                daemon.stop(Signal::SIGTERM, SHUTDOWN_LIMIT)?;
            }
            *running = daemons;
            running.iter_mut().try_for_each(Daemon::start)?;
        }
        Ok(shipper)
    }

    /// Starts a service, or restarts it if it is dead or its program or settings have changed.
    ///
    /// # Errors
    /// [`Error::NotBuilt`], [`Error::NotReady`].
    pub async fn ensure_service(&mut self, name: &str) -> Result<()> {
        let mut environment = self.stack.environment();
        environment.extend(self.node.environment(name)?);
        if let Some((_, service)) = self.services.iter_mut().find(|(started, _)| started == name) {
            return service.ensure_current(&environment).await;
        }
        let mut service = Service::build(
            name,
            &environment,
            self.node.output(name)?,
            Lifetime::Detached(self.files.journal.clone()),
            None,
        )?;
        service.start().await?;
        self.services.push((name.to_owned(), service));
        Ok(())
    }

    /// Restarts the services and the log shipper that an earlier program started, where they are dead or outdated.
    ///
    /// # Errors
    /// As [`Self::ensure_service`] and [`Self::ensure_log_shipper`].
    pub async fn restart_dead(&mut self) -> Result<()> {
        let names: Vec<String> = self.services.iter().map(|(name, _)| name.clone()).collect();
        for name in names {
            self.ensure_service(&name).await?;
        }
        if !self.shipper.lock().await.is_empty() {
            self.ensure_log_shipper().await?;
        }
        Ok(())
    }

    /// Writes the record of all processes and leaves them running.
    ///
    /// # Errors
    /// When the record cannot be written. Then the processes that this program started end.
    pub async fn detach(mut self) -> Result<()> {
        let services = self
            .services
            .iter_mut()
            .map(|(name, service)| (name.clone(), service.detach()))
            .collect();
        let mut shipper = self.shipper.lock().await;
        shipper.iter_mut().for_each(Daemon::detach);
        let shipper = shipper.iter().map(Daemon::record).collect();
        let record = StackRecord {
            shipper,
            directory: self.stack.directory.clone(),
            postgres: self.stack.postgres.detach().await,
            rabbitmq: self.stack.rabbitmq.detach().await,
            object_store: self.stack.object_store.detach().await,
            opensearch: match self.stack.opensearch() {
                Ok(opensearch) => Some(opensearch.detach().await),
                Err(_) => None,
            },
            services,
        };
        self.files.write(&record)
    }

    /// The current processes. A process that is not in the record yet has no address.
    ///
    /// # Errors
    /// When the project's `.local` cannot be used.
    pub fn status() -> Result<StackStatus> {
        let files = StackFiles::locate()?;
        let running: Vec<StackProcess> = journal::alive(&files.journal)
            .into_iter()
            .filter(|(_, name)| !name.starts_with(journal::LOG_WRITER_PREFIX))
            .map(|(ProcessIdentity { pid, .. }, name)| StackProcess { name, pid })
            .collect();
        let record = files.read();
        let runs = |name: &str| running.iter().any(|process| process.name == name);
        let dead = record.iter().flat_map(StackRecord::daemons).filter_map(|daemon| {
            let name = daemon.program.name.clone();
            let pid = daemon.identity?.pid;
            (!runs(&name)).then_some(StackProcess { name, pid })
        });
        let dead = dead.collect();
        let record = record.filter(|_| !running.is_empty());
        Ok(StackStatus {
            running,
            dead,
            addresses: record.as_ref().map(StackRecord::addresses).unwrap_or_default(),
            environment_file: record.map(|record| environment_file(&record.directory)),
        })
    }

    /// The shell file with the environment for programs that use this stack.
    #[must_use]
    pub fn environment_file(&self) -> PathBuf {
        environment_file(&self.stack.directory)
    }

    /// Ends exactly the processes that were started, services first, and removes the stack's files. Returns the
    /// processes that it ended.
    ///
    /// # Errors
    /// [`Error::StillRunning`] when a process does not end. Then the files stay.
    pub fn down() -> Result<Vec<StackProcess>> {
        let files = StackFiles::locate()?;
        let lock = files.lock()?;
        let ended = end_processes(&files.journal)?;
        if let Some(record) = files.read() {
            remove_directory(&record.directory)?;
        }
        remove_directory(&files.data)?;
        for file in [&files.record, &files.journal] {
            if file.exists() {
                fs::remove_file(file).context(|| format!("cannot remove {}", file.display()))?;
            }
        }
        drop(lock);
        Ok(ended)
    }
}
