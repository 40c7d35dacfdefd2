//! Servers: started by this stack ("managed"), or external.

mod definitions;
mod managed;
mod object_store;
mod opensearch;
mod postgres;
mod rabbitmq;
mod s3_policies;
mod s3_server;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

pub(crate) use definitions::policies;
pub(crate) use managed::ManagedServer;
use managed::ManagedServerRecord;
pub(crate) use object_store::create_buckets as check_object_store;
pub(crate) use object_store::{create_buckets, start as start_object_store};
pub(crate) use opensearch::{
    find as find_opensearch, launch as launch_opensearch, probe as probe_opensearch,
};
pub(crate) use postgres::{
    check_external as check_postgres, create_database, drop_database, start as start_postgres,
};
pub(crate) use rabbitmq::{check_external as check_rabbitmq, management, start as start_rabbitmq};
pub(crate) use s3_policies::account_access_key;
pub use s3_server::serve as serve_s3;

use crate::error::{Error, Result};
use crate::process::{DaemonRecord, Identity};

/// A server of the stack. `A` holds its address and credentials.
#[derive(Debug)]
pub struct Server<A> {
    name: &'static str,
    access: A,
    /// `None` for an external server.
    managed: Option<Mutex<ManagedServer>>,
}

/// A server in the record of the persistent stack.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ServerRecord<A> {
    pub(crate) access: A,
    #[serde(rename = "own")]
    managed: Option<ManagedServerRecord>,
}

impl<A> ServerRecord<A> {
    /// The server's processes; none for an external server.
    pub(crate) fn processes(&self) -> impl Iterator<Item = &DaemonRecord> {
        self.managed.iter().flat_map(|server| &server.processes)
    }
}

impl<A> Server<A> {
    pub(crate) fn from_record(name: &'static str, record: ServerRecord<A>) -> Self {
        Self {
            name,
            access: record.access,
            managed: record
                .managed
                .map(|server| Mutex::new(ManagedServer::from_record(server))),
        }
    }

    pub(crate) fn managed(name: &'static str, access: A, server: ManagedServer) -> Self {
        Self {
            name,
            access,
            managed: Some(Mutex::new(server)),
        }
    }

    pub(crate) fn external(name: &'static str, access: A) -> Self {
        Self {
            name,
            access,
            managed: None,
        }
    }

    /// `postgres`, `rabbitmq`, `object-store` or `opensearch`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Address and credentials.
    #[must_use]
    pub fn access(&self) -> &A {
        &self.access
    }

    /// Whether this stack started the server, so that it may be stopped.
    #[must_use]
    pub fn is_managed(&self) -> bool {
        self.managed.is_some()
    }

    fn require_managed(&self, action: &'static str) -> Result<&Mutex<ManagedServer>> {
        self.managed.as_ref().ok_or(Error::ExternalServer {
            server: self.name,
            action,
        })
    }

    /// Kills the server and its descendants (`SIGKILL`). For RabbitMQ see
    /// [`Stack::queues_on_disk`](crate::Stack::queues_on_disk).
    ///
    /// # Errors
    /// [`Error::ExternalServer`] for an external server.
    pub async fn kill(&self) -> Result<()> {
        self.require_managed("kill")?.lock().await.kill()
    }

    /// Shuts the server down.
    ///
    /// # Errors
    /// [`Error::ExternalServer`] for an external server.
    pub async fn stop(&self) -> Result<()> {
        self.require_managed("stop")?.lock().await.stop()
    }

    /// Shuts the server down. Does nothing for an external server.
    pub(crate) async fn stop_if_managed(&self) -> Result<()> {
        match &self.managed {
            Some(server) => server.lock().await.stop(),
            None => Ok(()),
        }
    }

    /// Stops the server if it runs, starts it on the same port with the same data, and waits until it is ready.
    ///
    /// # Errors
    /// [`Error::ExternalServer`] for an external server, [`Error::NotReady`] when it does not become ready.
    pub async fn restart(&self) -> Result<()> {
        let mut server = self.require_managed("restart")?.lock().await;
        server.stop()?;
        server.start().await
    }

    /// Stops the server's processes with `SIGSTOP`: connections stay open, but nothing answers.
    ///
    /// # Errors
    /// [`Error::ExternalServer`] for an external server.
    pub async fn pause(&self) -> Result<()> {
        self.require_managed("pause")?.lock().await.pause();
        Ok(())
    }

    /// Continues the server after [`Self::pause`].
    ///
    /// # Errors
    /// [`Error::ExternalServer`] for an external server.
    pub async fn resume(&self) -> Result<()> {
        self.require_managed("resume")?.lock().await.resume();
        Ok(())
    }

    /// Waits until the server answers.
    ///
    /// # Errors
    /// [`Error::NotReady`] when it ends or does not answer in time.
    pub async fn ready(&self) -> Result<()> {
        match &self.managed {
            Some(server) => server.lock().await.ready().await,
            None => Ok(()),
        }
    }

    /// Whether its processes run. Always true for an external server.
    pub async fn alive(&self) -> bool {
        match &self.managed {
            Some(server) => server.lock().await.alive(),
            None => true,
        }
    }

    /// The server's processes; none for an external server.
    pub async fn identities(&self) -> Vec<Identity> {
        match &self.managed {
            Some(server) => server.lock().await.identities(),
            None => Vec::new(),
        }
    }

    /// Starts the server if it is managed and dead.
    pub(crate) async fn start_if_dead(&self) -> Result<()> {
        let Some(server) = &self.managed else {
            return Ok(());
        };
        let mut server = server.lock().await;
        if !server.alive() {
            server.stop()?;
        }
        server.start().await
    }

    /// Lets the server outlive this program. Returns the record for [`Self::from_record`].
    pub(crate) async fn detach(&self) -> ServerRecord<A>
    where
        A: Clone,
    {
        let managed = match &self.managed {
            Some(server) => {
                let mut server = server.lock().await;
                server.detach();
                Some(server.record())
            }
            None => None,
        };
        ServerRecord {
            access: self.access.clone(),
            managed,
        }
    }
}
