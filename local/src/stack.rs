//! The servers together.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::time::{Duration, Instant, sleep};
use tokio::try_join;

use crate::access::{self, Environment, ObjectStoreAccess, OpenSearchAccess, PostgresAccess, RabbitMqAccess};
use crate::directory::Temporary;
use crate::error::{Error, Result};
use crate::node::Node;
use crate::opensearch::MISSING;
use crate::process::Identity;
use crate::runtime_library;
use crate::server::{
    Server, launch_opensearch, opensearch_installed, start_object_store, start_postgres, start_rabbitmq,
    use_object_store, use_postgres, use_rabbitmq,
};
use crate::site::Site;

/// PostgreSQL, RabbitMQ and an S3 store, ready to be used; OpenSearch too, where it is wanted.
///
/// Each is a process of its own with private files, a free port and random credentials. Dropping the value ends what it has
/// started and removes the files; so does the end of the process, however it comes. A server that the environment names
/// (`POSTGRES_HOST`, `RABBITMQ_HOST`, `OBJECT_STORE_ENDPOINT`, `LOGQ_OPENSEARCH_URL`, with their credentials) is used instead of a started one.
#[derive(Debug)]
pub struct Stack {
    pub(crate) postgres: Server<PostgresAccess>,
    pub(crate) rabbitmq: Server<RabbitMqAccess>,
    pub(crate) object_store: Server<ObjectStoreAccess>,
    /// Where it was asked for: the server, or why there is none.
    pub(crate) opensearch: Option<Search>,
    pub(crate) directory: PathBuf,
    // Last: the files go after the processes that have them open.
    pub(crate) _temporary: Option<Temporary>,
}

/// OpenSearch, or why the machine cannot have it.
pub(crate) type Search = std::result::Result<Server<OpenSearchAccess>, String>;

/// How a stack is to be.
#[derive(Debug, Default)]
pub struct Builder {
    only_ours: bool,
    opensearch: bool,
    lasting: Option<(PathBuf, PathBuf, Arc<Node>)>,
}

impl Builder {
    /// Starts all its servers, whatever the environment names.
    #[must_use]
    pub fn only_ours(mut self) -> Self {
        self.only_ours = true;
        self
    }

    /// Starts OpenSearch too, where the machine can have it. Nobody waits for it here, for it takes half a minute:
    /// [`Stack::opensearch`] and [`Server::ready`](crate::Server::ready) are for who uses it.
    #[must_use]
    pub fn with_opensearch(mut self) -> Self {
        self.opensearch = true;
        self
    }

    /// Keeps the files in this directory, and lists the processes in this journal, so that they can outlive this one. What they
    /// print is kept as on a node.
    pub(crate) fn lasting(mut self, directory: PathBuf, journal: PathBuf, node: Arc<Node>) -> Self {
        self.lasting = Some((directory, journal, node));
        self
    }

    /// Starts the servers, all at the same time, and waits until each is ready.
    ///
    /// # Errors
    /// A missing program, a server that does not become ready; what was started is ended again.
    pub async fn start(self) -> Result<Stack> {
        let outside = !self.only_ours;
        let postgres = if outside {
            PostgresAccess::from_outside()?
        } else {
            None
        };
        let rabbitmq = if outside {
            RabbitMqAccess::from_outside()?
        } else {
            None
        };
        let object_store = if outside {
            ObjectStoreAccess::from_outside()?
        } else {
            None
        };

        let temporary = if self.lasting.is_none() {
            Some(Temporary::new()?)
        } else {
            None
        };
        let directory = match (&self.lasting, &temporary) {
            (Some((directory, ..)), _) => directory.clone(),
            (None, Some(temporary)) => temporary.path().into(),
            (None, None) => PathBuf::new(),
        };
        let site = Site {
            directory: &directory,
            lasting: self
                .lasting
                .as_ref()
                .map(|(_, journal, node)| (journal.as_path(), &**node)),
        };
        let opensearch = if !self.opensearch {
            None
        } else if let Some(access) = outside.then(OpenSearchAccess::from_outside).flatten() {
            Some(Ok(Server::given("opensearch", access)))
        } else {
            Some(start_opensearch(site)?)
        };
        let (postgres, rabbitmq, object_store) = try_join!(
            async {
                Ok(match postgres {
                    Some(access) => {
                        use_postgres(&access).await?;
                        Server::given("postgres", access)
                    }
                    None => start_postgres(site)
                        .await
                        .map(|(access, own)| Server::ours("postgres", access, own))?,
                })
            },
            async {
                Ok(match rabbitmq {
                    Some(access) => {
                        use_rabbitmq(&access).await?;
                        Server::given("rabbitmq", access)
                    }
                    None => start_rabbitmq(site)
                        .await
                        .map(|(access, own)| Server::ours("rabbitmq", access, own))?,
                })
            },
            async {
                Ok(match object_store {
                    Some(access) => {
                        use_object_store(&access).await?;
                        Server::given("object-store", access)
                    }
                    None => start_object_store(site)
                        .await
                        .map(|(access, own)| Server::ours("object-store", access, own))?,
                })
            },
        )?;
        Ok(Stack {
            postgres,
            rabbitmq,
            object_store,
            opensearch,
            directory,
            _temporary: temporary,
        })
    }
}

/// Starts OpenSearch, or says why the machine cannot have it.
pub(crate) fn start_opensearch(site: Site<'_>) -> Result<Search> {
    match opensearch_installed()? {
        Ok(installed) => {
            let (access, own) = launch_opensearch(&installed, site)?;
            Ok(Ok(Server::ours("opensearch", access, own)))
        }
        Err(unavailable) => Ok(Err(unavailable.0)),
    }
}

impl Stack {
    /// How a stack is to be.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// PostgreSQL.
    #[must_use]
    pub fn postgres(&self) -> &Server<PostgresAccess> {
        &self.postgres
    }

    /// RabbitMQ.
    #[must_use]
    pub fn rabbitmq(&self) -> &Server<RabbitMqAccess> {
        &self.rabbitmq
    }

    /// The S3 store.
    #[must_use]
    pub fn object_store(&self) -> &Server<ObjectStoreAccess> {
        &self.object_store
    }

    /// OpenSearch, perhaps not ready yet.
    ///
    /// # Errors
    /// Why there is none.
    pub fn opensearch(&self) -> std::result::Result<&Server<OpenSearchAccess>, &str> {
        match &self.opensearch {
            Some(Ok(server)) => Ok(server),
            Some(Err(reason)) => Err(reason),
            None => Err("OpenSearch was not asked for"),
        }
    }

    /// Where the stack keeps its files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The processes that the stack has started.
    pub async fn identities(&self) -> Vec<Identity> {
        let mut all = self.postgres.identities().await;
        all.extend(self.rabbitmq.identities().await);
        all.extend(self.object_store.identities().await);
        if let Ok(opensearch) = self.opensearch() {
            all.extend(opensearch.identities().await);
        }
        all
    }

    /// PostgreSQL's log (JSON lines), when the server is ours. In the lasting stack it is its pod's.
    #[must_use]
    pub fn postgres_log(&self) -> Option<PathBuf> {
        (self.postgres.is_ours() && self._temporary.is_some())
            .then(|| self.directory.join("postgres/log/postgresql.json"))
    }

    /// RabbitMQ's log (JSON lines), when the server is ours. In the lasting stack it is its pod's.
    #[must_use]
    pub fn rabbitmq_log(&self) -> Option<PathBuf> {
        (self.rabbitmq.is_ours() && self._temporary.is_some())
            .then(|| self.directory.join("rabbitmq/log/rabbitmq.log"))
    }

    /// Waits until RabbitMQ, when it is ours, has the names of all its quorum queues on disk. It writes them up to a second after a
    /// declaration was answered, and a queue whose broker is killed earlier comes back without a leader, for good.
    ///
    /// # Errors
    /// [`Error::Request`] when they are not there after half a minute.
    pub async fn queues_on_disk(&self) -> Result<()> {
        if !self.rabbitmq.is_ours() {
            return Ok(());
        }
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let Some(missing) = unwritten_queue(&self.directory.join("rabbitmq/data")) else {
                return Ok(());
            };
            if Instant::now() >= deadline {
                return Err(Error::request(
                    "RabbitMQ writes its queues' names",
                    format!("{missing} is not written"),
                ));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The environment with which our programs use this stack.
    #[must_use]
    pub fn environment(&self) -> Environment {
        let mut environment = Environment::new();
        self.postgres.access().write(&mut environment);
        self.rabbitmq.access().write(&mut environment);
        self.object_store.access().write(&mut environment);
        if let Ok(opensearch) = self.opensearch() {
            opensearch.access().write(&mut environment);
        }
        if let Some(path) = runtime_library::path() {
            environment.insert(runtime_library::VARIABLE.into(), path);
        }
        environment
    }

    /// What a command inside this stack is told beside [`Self::environment`]: which servers are not "given from outside", and
    /// where the servers' logs are.
    #[must_use]
    pub fn note_for_children(&self) -> Environment {
        let started: Vec<&str> = [
            (self.postgres.is_ours(), self.postgres.name()),
            (self.rabbitmq.is_ours(), self.rabbitmq.name()),
            (self.object_store.is_ours(), self.object_store.name()),
            (self.opensearch().is_ok_and(Server::is_ours), "opensearch"),
        ]
        .into_iter()
        .filter_map(|(ours, name)| ours.then_some(name))
        .collect();
        let mut note = Environment::from([(access::STARTED.into(), started.join(","))]);
        for (name, path) in [
            ("LOCAL_POSTGRES_LOG", self.postgres_log()),
            ("LOCAL_RABBITMQ_LOG", self.rabbitmq_log()),
        ] {
            if let Some(path) = path {
                note.insert(name.into(), path.display().to_string());
            }
        }
        if let Some(Err(reason)) = &self.opensearch {
            note.insert(MISSING.into(), reason.clone());
        }
        note
    }

    /// Ends what it has started, in good order. Dropping does the same in haste.
    ///
    /// # Errors
    /// When a process does not go away.
    pub async fn stop(self) -> Result<()> {
        for stopped in [
            async {
                match self.opensearch() {
                    Ok(opensearch) if opensearch.is_ours() => opensearch.stop().await,
                    _ => Ok(()),
                }
            }
            .await,
            async {
                if self.object_store.is_ours() {
                    self.object_store.stop().await
                } else {
                    Ok(())
                }
            }
            .await,
            async {
                if self.rabbitmq.is_ours() {
                    self.rabbitmq.stop().await
                } else {
                    Ok(())
                }
            }
            .await,
            async {
                if self.postgres.is_ours() {
                    self.postgres.stop().await
                } else {
                    Ok(())
                }
            }
            .await,
        ] {
            stopped?;
        }
        Ok(())
    }
}

/// The directory of a quorum queue that the register of its Raft system does not name yet: below `NODE/quorum/NODE` of the
/// broker's data, where `names.dets` is the register.
fn unwritten_queue(data: &Path) -> Option<String> {
    let folders = |path: &Path| {
        fs::read_dir(path)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.path().is_dir())
    };
    for system in folders(data).flat_map(|node| folders(&node.path().join("quorum"))) {
        let register = fs::read(system.path().join("names.dets")).unwrap_or_default();
        for queue in folders(&system.path()) {
            let name = queue.file_name();
            let wanted = name.as_encoded_bytes();
            if !register
                .windows(wanted.len().max(1))
                .any(|window| window == wanted)
            {
                return Some(name.to_string_lossy().into_owned());
            }
        }
    }
    None
}
