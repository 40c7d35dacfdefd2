//! Where the lasting stack is kept, and what is written down about it.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use schema::component;
use serde::{Deserialize, Serialize};

use crate::access::{ObjectStoreAccess, OpenSearchAccess, PostgresAccess, RabbitMqAccess};
use crate::error::{Context, Error, Result};
use crate::process::DaemonRecord;
use crate::runtime_library::project;
use crate::server::ServerRecord;
use crate::service::Service;

/// Where the stack is kept, when not in the project.
const DIRECTORY: &str = "LOCAL_DIRECTORY";

#[derive(Debug)]
pub(super) struct Places {
    pub data: PathBuf,
    pub state: PathBuf,
    pub journal: PathBuf,
    lock: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    pub directory: PathBuf,
    pub postgres: ServerRecord<PostgresAccess>,
    pub rabbitmq: ServerRecord<RabbitMqAccess>,
    pub object_store: ServerRecord<ObjectStoreAccess>,
    #[serde(default)]
    pub opensearch: Option<ServerRecord<OpenSearchAccess>>,
    pub services: Vec<(String, DaemonRecord)>,
    #[serde(default)]
    pub carrier: Vec<DaemonRecord>,
}

impl Places {
    pub fn find() -> Result<Self> {
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
    pub fn lock(&self) -> Result<File> {
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

    pub fn read(&self) -> Option<State> {
        serde_json::from_slice(&fs::read(&self.state).ok()?).ok()
    }

    pub fn write(&self, state: &State) -> Result<()> {
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

impl State {
    /// The processes that should run.
    pub fn daemons(&self) -> impl Iterator<Item = &DaemonRecord> {
        let opensearch = self.opensearch.iter().flat_map(ServerRecord::processes);
        self.postgres
            .processes()
            .chain(self.rabbitmq.processes())
            .chain(self.object_store.processes())
            .chain(opensearch)
            .chain(self.services.iter().map(|(_, record)| record))
            .chain(&self.carrier)
    }

    /// What listens where.
    pub fn addresses(&self) -> Vec<(String, String)> {
        let (postgres, rabbitmq) = (&self.postgres.access, &self.rabbitmq.access);
        let mut addresses = vec![
            (
                "PostgreSQL".into(),
                format!("{}:{}", postgres.host, postgres.port),
            ),
            ("RabbitMQ".into(), format!("{}:{}", rabbitmq.host, rabbitmq.port)),
            ("S3".into(), self.object_store.access.endpoint.clone()),
        ];
        if let Some(opensearch) = &self.opensearch {
            addresses.push(("OpenSearch".into(), opensearch.access.url.clone()));
        }
        for (name, record) in &self.services {
            let service = Service::found(record.clone());
            if name == component::IRMGARD {
                addresses.push((name.clone(), format!("http://{}", service.address())));
            }
            addresses.push((
                format!("{name} metrics"),
                format!("http://{}/metrics", service.admin_address()),
            ));
        }
        addresses
    }
}

/// The file in which a shell finds what programs are told of the stack with these files.
pub(super) fn environment(directory: &Path) -> PathBuf {
    directory.join("environment")
}
