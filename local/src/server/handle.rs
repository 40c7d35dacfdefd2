//! A server of the stack: its address, and its processes if this stack started it.

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::managed::{ManagedServer, ManagedServerRecord};
use crate::access::Access;
use crate::error::{Error, Result};
use crate::process::{DaemonRecord, ProcessIdentity};

/// A server of the stack. `A` holds its address and credentials.
#[derive(Debug)]
pub struct Server<A> {
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

#[expect(private_bounds, reason = "other crates use only the servers of this crate")]
impl<A: Access> Server<A> {
    pub(crate) fn from_record(record: ServerRecord<A>) -> Self {
        Self {
            access: record.access,
            managed: record
                .managed
                .map(|server| Mutex::new(ManagedServer::from_record(server))),
        }
    }

    pub(super) fn managed(access: A, server: ManagedServer) -> Self {
        Self {
            access,
            managed: Some(Mutex::new(server)),
        }
    }

    pub(crate) fn external(access: A) -> Self {
        Self {
            access,
            managed: None,
        }
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
            server: A::SERVER,
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
        self.require_managed("stop")?.lock().await.stop::<A>()
    }

    /// Shuts the server down. Does nothing for an external server.
    pub(crate) async fn stop_if_managed(&self) -> Result<()> {
        match &self.managed {
            Some(server) => server.lock().await.stop::<A>(),
            None => Ok(()),
        }
    }

    /// Stops the server if it runs, starts it on the same port with the same data, and waits until it is ready.
    ///
    /// # Errors
    /// [`Error::ExternalServer`] for an external server, [`Error::NotReady`] when it does not become ready.
    pub async fn restart(&self) -> Result<()> {
        let mut server = self.require_managed("restart")?.lock().await;
        server.stop::<A>()?;
        server.start(&self.access).await
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
            Some(server) => server.lock().await.ready(&self.access).await,
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
    pub async fn identities(&self) -> Vec<ProcessIdentity> {
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
            server.stop::<A>()?;
        }
        server.start(&self.access).await
    }

    /// Lets the server outlive this program. Returns the record for [`Self::from_record`].
    pub(crate) async fn detach(&self) -> ServerRecord<A> {
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
