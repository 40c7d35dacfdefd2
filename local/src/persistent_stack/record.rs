//! The persistent stack's files, and the record of its processes.

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
use crate::project::project_root;
use crate::server::ServerRecord;
use crate::service::Service;

/// Overrides the directory of these files; default: `.local` of the project.
const DIRECTORY: &str = "LOCAL_DIRECTORY";

#[derive(Debug)]
pub(super) struct StackFiles {
    pub data: PathBuf,
    pub record: PathBuf,
    pub journal: PathBuf,
    lock: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StackRecord {
    pub directory: PathBuf,
    pub postgres: ServerRecord<PostgresAccess>,
    pub rabbitmq: ServerRecord<RabbitMqAccess>,
    pub object_store: ServerRecord<ObjectStoreAccess>,
    #[serde(default)]
    pub opensearch: Option<ServerRecord<OpenSearchAccess>>,
    pub services: Vec<(String, DaemonRecord)>,
    #[serde(default, rename = "carrier")]
    pub shipper: Vec<DaemonRecord>,
}

impl StackFiles {
    pub fn locate() -> Result<Self> {
        let base = env::var_os(DIRECTORY).map_or_else(|| project_root().join(".local"), PathBuf::from);
        fs::create_dir_all(&base).context(|| format!("cannot create {}", base.display()))?;
        Ok(Self {
            data: base.join("stack"),
            record: base.join("stack.json"),
            journal: base.join("stack.processes"),
            lock: base.join("stack.lock"),
        })
    }

    /// Takes the lock, or fails at once when another program has it.
    pub fn lock(&self) -> Result<File> {
        let what = || format!("cannot lock {}", self.lock.display());
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.lock)
            .context(what)?;
        file.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => Error::request(
                "cannot change the stack",
                "another `local` is changing it; try again when that has finished",
            ),
            fs::TryLockError::Error(source) => Error::Io { what: what(), source },
        })?;
        Ok(file)
    }

    pub fn read(&self) -> Option<StackRecord> {
        serde_json::from_slice(&fs::read(&self.record).ok()?).ok()
    }

    pub fn write(&self, record: &StackRecord) -> Result<()> {
        let what = || format!("cannot write {}", self.record.display());
        let text = serde_json::to_vec_pretty(record).map_err(|error| Error::request(what(), error))?;
        let new = self.record.with_extension("new");
        // The record contains passwords.
        OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&new)
            .and_then(|mut file| file.write_all(&text))
            .and_then(|()| fs::rename(&new, &self.record))
            .context(what)
    }
}

impl StackRecord {
    /// The processes that should run.
    pub fn daemons(&self) -> impl Iterator<Item = &DaemonRecord> {
        let opensearch = self.opensearch.iter().flat_map(ServerRecord::processes);
        self.postgres
            .processes()
            .chain(self.rabbitmq.processes())
            .chain(self.object_store.processes())
            .chain(opensearch)
            .chain(self.services.iter().map(|(_, daemon)| daemon))
            .chain(&self.shipper)
    }

    /// The names and addresses of servers and services.
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
        for (name, daemon) in &self.services {
            let service = Service::from_record(daemon.clone());
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

/// The shell file with the environment for programs that use the stack in this directory.
pub(super) fn environment_file(directory: &Path) -> PathBuf {
    directory.join("environment")
}
