//! The three servers together.

use std::fs;
use std::path::{Path, PathBuf};

use tokio::time::{Duration, Instant, sleep};
use tokio::try_join;

use crate::access::{self, Environment, ObjectStoreAccess, PostgresAccess, RabbitMqAccess};
use crate::directory::Temporary;
use crate::error::{Error, Result};
use crate::process::Identity;
use crate::runtime_library;
use crate::server::{
    Server, start_object_store, start_postgres, start_rabbitmq, use_object_store, use_postgres, use_rabbitmq,
};

/// PostgreSQL, RabbitMQ and an S3 store, ready to be used.
///
/// Each is a process of its own with private files, a free port and random credentials. Dropping the value ends what it has
/// started and removes the files; so does the end of the process, however it comes. A server that the environment names
/// (`POSTGRES_HOST`, `RABBITMQ_HOST`, `OBJECT_STORE_ENDPOINT`, with their credentials) is used instead of a started one.
#[derive(Debug)]
pub struct Stack {
    pub(crate) postgres: Server<PostgresAccess>,
    pub(crate) rabbitmq: Server<RabbitMqAccess>,
    pub(crate) object_store: Server<ObjectStoreAccess>,
    pub(crate) directory: PathBuf,
    // Last: the files go after the processes that have them open.
    pub(crate) _temporary: Option<Temporary>,
}

/// How a stack is to be.
#[derive(Debug, Default)]
pub struct Builder {
    only_ours: bool,
    lasting: Option<(PathBuf, PathBuf)>,
}

impl Builder {
    /// Starts all three servers, whatever the environment names.
    #[must_use]
    pub fn only_ours(mut self) -> Self {
        self.only_ours = true;
        self
    }

    /// Keeps the files in this directory, and lists the processes in this journal, so that they can outlive this one.
    pub(crate) fn lasting(mut self, directory: PathBuf, journal: PathBuf) -> Self {
        self.lasting = Some((directory, journal));
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
        let (directory, journal) = self.lasting.unzip();
        let directory = directory
            .or_else(|| temporary.as_ref().map(|temporary| temporary.path().into()))
            .unwrap_or_default();
        let journal = journal.as_deref();
        let at = &directory;
        let (postgres, rabbitmq, object_store) = try_join!(
            async {
                Ok(match postgres {
                    Some(access) => {
                        use_postgres(&access).await?;
                        Server::given("postgres", access)
                    }
                    None => start_postgres(at, journal)
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
                    None => start_rabbitmq(at, journal)
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
                    None => start_object_store(at, journal)
                        .await
                        .map(|(access, own)| Server::ours("object-store", access, own))?,
                })
            },
        )?;
        Ok(Stack {
            postgres,
            rabbitmq,
            object_store,
            directory,
            _temporary: temporary,
        })
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
        all
    }

    /// PostgreSQL's log (JSON lines), when the server is ours.
    #[must_use]
    pub fn postgres_log(&self) -> Option<PathBuf> {
        self.postgres
            .is_ours()
            .then(|| self.directory.join("postgres/log/postgresql.json"))
    }

    /// RabbitMQ's log (JSON lines), when the server is ours.
    #[must_use]
    pub fn rabbitmq_log(&self) -> Option<PathBuf> {
        self.rabbitmq
            .is_ours()
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
        note
    }

    /// Ends what it has started, in good order. Dropping does the same in haste.
    ///
    /// # Errors
    /// When a process does not go away.
    pub async fn stop(self) -> Result<()> {
        for stopped in [
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
