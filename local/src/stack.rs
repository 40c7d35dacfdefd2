//! All servers of a stack.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::time::{Duration, Instant, sleep};
use tokio::try_join;

use crate::access::{
    self, Access, Environment, OPENSEARCH_MISSING, ObjectStoreAccess, OpenSearchAccess, PostgresAccess,
    RabbitMqAccess,
};
use crate::error::{Error, Result};
use crate::layout::{StackLayout, TempDirectory};
use crate::node::Node;
use crate::process::ProcessIdentity;
use crate::project;
use crate::server::{
    Server, Unavailable, launch_opensearch, start_object_store, start_postgres, start_rabbitmq,
};

/// PostgreSQL, RabbitMQ and an S3 store, ready for use; on request OpenSearch too.
///
/// Each server is a process with private files, a free port and random credentials. The servers end and their files
/// disappear when this value is dropped, or when this process ends in any way. If the environment names a server
/// (`POSTGRES_HOST`, `RABBITMQ_HOST`, `OBJECT_STORE_ENDPOINT`, `LOGQ_OPENSEARCH_URL`, with credentials), that external server
/// is used and none is started.
#[derive(Debug)]
pub struct Stack {
    pub(crate) postgres: Server<PostgresAccess>,
    pub(crate) rabbitmq: Server<RabbitMqAccess>,
    pub(crate) object_store: Server<ObjectStoreAccess>,
    /// `None` unless requested.
    pub(crate) opensearch: Option<OpenSearchResult>,
    pub(crate) directory: PathBuf,
    // Dropped last, after the processes that have the files open.
    pub(crate) _temporary: Option<TempDirectory>,
}

/// OpenSearch, or why this machine cannot run it.
pub(crate) type OpenSearchResult = std::result::Result<Server<OpenSearchAccess>, Unavailable>;

/// The settings of a new stack.
#[derive(Debug, Default)]
pub struct StackBuilder {
    only_ours: bool,
    opensearch: bool,
    persistent: Option<(PathBuf, PathBuf, Arc<Node>)>,
}

impl StackBuilder {
    /// Starts all servers, even if the environment names external ones.
    #[must_use]
    pub fn only_ours(mut self) -> Self {
        self.only_ours = true;
        self
    }

    /// Starts OpenSearch too, if this machine can run it. [`Self::start`] does not wait for it, because it needs half a minute.
    /// Use [`Stack::opensearch`] and [`Server::ready`](crate::Server::ready) before the first request.
    #[must_use]
    pub fn with_opensearch(mut self) -> Self {
        self.opensearch = true;
        self
    }

    /// Lets the servers outlive this process: files in this directory, processes in this journal, output as pods of this node.
    pub(crate) fn persistent(mut self, directory: PathBuf, journal: PathBuf, node: Arc<Node>) -> Self {
        self.persistent = Some((directory, journal, node));
        self
    }

    /// Starts the servers in parallel and waits until each is ready.
    ///
    /// # Errors
    /// When a program is missing or a server does not become ready. Then the started servers end.
    pub async fn start(self) -> Result<Stack> {
        let temporary = match &self.persistent {
            Some(_) => None,
            None => Some(TempDirectory::new()?),
        };
        let directory = match (&self.persistent, &temporary) {
            (Some((directory, ..)), _) => directory.clone(),
            (None, temporary) => temporary
                .as_ref()
                .map(TempDirectory::path)
                .unwrap_or(Path::new(""))
                .into(),
        };
        let layout = StackLayout {
            directory: &directory,
            persistent: self
                .persistent
                .as_ref()
                .map(|(_, journal, node)| (journal.as_path(), &**node)),
        };
        let opensearch = match self.opensearch {
            true => Some(start_opensearch(layout, self.only_ours)?),
            false => None,
        };
        let (postgres, rabbitmq, object_store) = try_join!(
            external_or(start_postgres(layout), self.only_ours),
            external_or(start_rabbitmq(layout), self.only_ours),
            external_or(start_object_store(layout), self.only_ours),
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

/// The external server that the environment names, ready for use. Else starts one.
async fn external_or<A: Access>(
    start: impl Future<Output = Result<Server<A>>>,
    only_ours: bool,
) -> Result<Server<A>> {
    match external::<A>(only_ours)? {
        Some(access) => {
            access.prepare().await?;
            Ok(Server::external(access))
        }
        None => start.await,
    }
}

fn external<A: Access>(only_ours: bool) -> Result<Option<A>> {
    if only_ours { Ok(None) } else { access::external() }
}

/// Takes the OpenSearch that the environment names, or starts one. Returns why if this machine cannot run it.
pub(crate) fn start_opensearch(layout: StackLayout<'_>, only_ours: bool) -> Result<OpenSearchResult> {
    match external(only_ours)? {
        Some(access) => Ok(Ok(Server::external(access))),
        None => launch_opensearch(layout),
    }
}

impl Stack {
    #[must_use]
    pub fn builder() -> StackBuilder {
        StackBuilder::default()
    }

    #[must_use]
    pub fn postgres(&self) -> &Server<PostgresAccess> {
        &self.postgres
    }

    #[must_use]
    pub fn rabbitmq(&self) -> &Server<RabbitMqAccess> {
        &self.rabbitmq
    }

    #[must_use]
    pub fn object_store(&self) -> &Server<ObjectStoreAccess> {
        &self.object_store
    }

    /// OpenSearch, possibly not ready yet.
    ///
    /// # Errors
    /// The reason why there is none.
    pub fn opensearch(&self) -> std::result::Result<&Server<OpenSearchAccess>, &str> {
        match &self.opensearch {
            Some(Ok(server)) => Ok(server),
            Some(Err(reason)) => Err(reason),
            None => Err("OpenSearch was not requested"),
        }
    }

    /// The directory of the stack's files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The processes that the stack has started.
    pub async fn identities(&self) -> Vec<ProcessIdentity> {
        let mut all = self.postgres.identities().await;
        all.extend(self.rabbitmq.identities().await);
        all.extend(self.object_store.identities().await);
        if let Ok(opensearch) = self.opensearch() {
            all.extend(opensearch.identities().await);
        }
        all
    }

    /// PostgreSQL's log file (JSON lines). `None` for an external server, and in the persistent stack, where the log is its pod's.
    #[must_use]
    pub fn postgres_log(&self) -> Option<PathBuf> {
        (self.postgres.is_managed() && self._temporary.is_some())
            .then(|| self.directory.join("postgres/log/postgresql.json"))
    }

    /// RabbitMQ's log file (JSON lines). `None` for an external server, and in the persistent stack, where the log is its pod's.
    #[must_use]
    pub fn rabbitmq_log(&self) -> Option<PathBuf> {
        (self.rabbitmq.is_managed() && self._temporary.is_some())
            .then(|| self.directory.join("rabbitmq/log/rabbitmq.log"))
    }

    /// Waits until RabbitMQ has written the names of all its quorum queues to disk. It writes them up to a second after it
    /// has confirmed a declaration. A broker that is killed earlier loses the queue's leader for good.
    /// Returns at once for an external server.
    ///
    /// # Errors
    /// [`Error::Request`] when a name is not written within half a minute.
    pub async fn queues_on_disk(&self) -> Result<()> {
        if !self.rabbitmq.is_managed() {
            return Ok(());
        }
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let Some(missing) = unwritten_queue(&self.directory.join("rabbitmq/data")) else {
                return Ok(());
            };
            if Instant::now() >= deadline {
                return Err(Error::request(
                    "RabbitMQ did not write its queue names within 30 s",
                    format!("{missing} is missing"),
                ));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The environment that makes our programs use this stack.
    #[must_use]
    pub fn environment(&self) -> Environment {
        let mut environment = Environment::new();
        self.postgres.access().write(&mut environment);
        self.rabbitmq.access().write(&mut environment);
        self.object_store.access().write(&mut environment);
        if let Ok(opensearch) = self.opensearch() {
            opensearch.access().write(&mut environment);
        }
        project::write_onnx_runtime(&mut environment);
        environment
    }

    /// Further variables for a command inside this stack: the servers that this stack started, and the servers' log files.
    #[must_use]
    pub fn child_environment(&self) -> Environment {
        let started: Vec<&str> = [
            (self.postgres.is_managed(), PostgresAccess::SERVER),
            (self.rabbitmq.is_managed(), RabbitMqAccess::SERVER),
            (self.object_store.is_managed(), ObjectStoreAccess::SERVER),
            (
                self.opensearch().is_ok_and(Server::is_managed),
                OpenSearchAccess::SERVER,
            ),
        ]
        .into_iter()
        .filter_map(|(is_managed, name)| is_managed.then_some(name))
        .collect();
        let mut environment = Environment::from([(access::STARTED.into(), started.join(","))]);
        for (name, path) in [
            ("LOCAL_POSTGRES_LOG", self.postgres_log()),
            ("LOCAL_RABBITMQ_LOG", self.rabbitmq_log()),
        ] {
            if let Some(path) = path {
                environment.insert(name.into(), path.display().to_string());
            }
        }
        if let Some(Err(reason)) = &self.opensearch {
            environment.insert(OPENSEARCH_MISSING.into(), reason.clone());
        }
        environment
    }

    /// Shuts the started servers down in order. Dropping the stack kills them instead.
    ///
    /// # Errors
    /// When a process does not end.
    pub async fn stop(self) -> Result<()> {
        let opensearch = match self.opensearch() {
            Ok(opensearch) => opensearch.stop_if_managed().await,
            Err(_) => Ok(()),
        };
        // An error does not keep the other servers running.
        for stopped in [
            opensearch,
            self.object_store.stop_if_managed().await,
            self.rabbitmq.stop_if_managed().await,
            self.postgres.stop_if_managed().await,
        ] {
            stopped?;
        }
        Ok(())
    }
}

/// A quorum queue whose name RabbitMQ has not written yet. Each queue has a directory below `NODE/quorum/NODE` of the
/// broker's data. The file `names.dets` there contains the written names.
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
            let bytes = name.as_encoded_bytes();
            if !register.windows(bytes.len().max(1)).any(|window| window == bytes) {
                return Some(name.to_string_lossy().into_owned());
            }
        }
    }
    None
}
