//! One server: started by us, or given from outside.

mod definitions;
mod object_store;
mod opensearch;
mod own;
mod postgres;
mod rabbitmq;
mod s3_rights;
mod s3_server;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

pub(crate) use definitions::policies;
pub(crate) use object_store::create_buckets as use_object_store;
pub(crate) use object_store::{create_buckets, start as start_object_store};
pub(crate) use opensearch::{
    installed as opensearch_installed, launch as launch_opensearch, probe as probe_opensearch,
};
pub(crate) use own::Own;
use own::OwnRecord;
pub(crate) use postgres::{
    create_database, drop_database, start as start_postgres, use_given as use_postgres,
};
pub(crate) use rabbitmq::{management, start as start_rabbitmq, use_given as use_rabbitmq};
pub(crate) use s3_rights::access_key_of;
pub use s3_server::serve as serve_s3;

use crate::error::{Error, Result};
use crate::process::{DaemonRecord, Identity};

/// A server of the stack. `A` says where it is and how one is let in.
#[derive(Debug)]
pub struct Server<A> {
    name: &'static str,
    access: A,
    own: Option<Mutex<Own>>,
}

/// What is written down about a server.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ServerRecord<A> {
    pub(crate) access: A,
    own: Option<OwnRecord>,
}

impl<A> ServerRecord<A> {
    /// Its processes; none for a server from outside.
    pub(crate) fn processes(&self) -> impl Iterator<Item = &DaemonRecord> {
        self.own.iter().flat_map(|own| &own.processes)
    }
}

impl<A> Server<A> {
    pub(crate) fn found(name: &'static str, record: ServerRecord<A>) -> Self {
        Self {
            name,
            access: record.access,
            own: record.own.map(|own| Mutex::new(Own::found(own))),
        }
    }

    pub(crate) fn ours(name: &'static str, access: A, own: Own) -> Self {
        Self {
            name,
            access,
            own: Some(Mutex::new(own)),
        }
    }

    pub(crate) fn given(name: &'static str, access: A) -> Self {
        Self {
            name,
            access,
            own: None,
        }
    }

    /// Its name: `postgres`, `rabbitmq`, `object-store`, `opensearch`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where it is and how one is let in.
    #[must_use]
    pub fn access(&self) -> &A {
        &self.access
    }

    /// Whether it was started by this stack, so that it may be stopped.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.own.is_some()
    }

    fn owned(&self, action: &'static str) -> Result<&Mutex<Own>> {
        self.own.as_ref().ok_or(Error::NotOurs {
            server: self.name,
            action,
        })
    }

    /// Ends it at once, with everything it has started (`SIGKILL`). For RabbitMQ see
    /// [`Stack::queues_on_disk`](crate::Stack::queues_on_disk).
    ///
    /// # Errors
    /// [`Error::NotOurs`] for a server from outside.
    pub async fn kill(&self) -> Result<()> {
        self.owned("kill")?.lock().await.kill()
    }

    /// Ends it in good order.
    ///
    /// # Errors
    /// [`Error::NotOurs`] for a server from outside.
    pub async fn stop(&self) -> Result<()> {
        self.owned("stop")?.lock().await.stop()
    }

    /// Starts it again, on the same port and with the same data, and waits until it is ready. One that runs is stopped first.
    ///
    /// # Errors
    /// [`Error::NotOurs`] for a server from outside, [`Error::NotReady`] when it does not come back.
    pub async fn restart(&self) -> Result<()> {
        let mut own = self.owned("restart")?.lock().await;
        own.stop()?;
        own.start().await
    }

    /// Halts it (`SIGSTOP`): connections stay open and nothing answers.
    ///
    /// # Errors
    /// [`Error::NotOurs`] for a server from outside.
    pub async fn pause(&self) -> Result<()> {
        self.owned("pause")?.lock().await.pause();
        Ok(())
    }

    /// Lets it go on after [`Self::pause`].
    ///
    /// # Errors
    /// [`Error::NotOurs`] for a server from outside.
    pub async fn resume(&self) -> Result<()> {
        self.owned("resume")?.lock().await.resume();
        Ok(())
    }

    /// Waits until it answers.
    ///
    /// # Errors
    /// [`Error::NotReady`] when it ends or does not answer in time.
    pub async fn ready(&self) -> Result<()> {
        match &self.own {
            Some(own) => own.lock().await.ready().await,
            None => Ok(()),
        }
    }

    /// Whether its processes run. A server from outside is taken to run.
    pub async fn alive(&self) -> bool {
        match &self.own {
            Some(own) => own.lock().await.alive(),
            None => true,
        }
    }

    /// Its processes; none for a server from outside.
    pub async fn identities(&self) -> Vec<Identity> {
        match &self.own {
            Some(own) => own.lock().await.identities(),
            None => Vec::new(),
        }
    }

    /// Starts it again if it is ours and does not answer.
    pub(crate) async fn revive(&self) -> Result<()> {
        let Some(own) = &self.own else { return Ok(()) };
        let mut own = own.lock().await;
        if !own.alive() {
            own.stop()?;
        }
        own.start().await
    }

    /// Lets it outlive this program, and says how a later one finds it.
    pub(crate) async fn keep(&self) -> ServerRecord<A>
    where
        A: Clone,
    {
        let own = match &self.own {
            Some(own) => {
                let mut own = own.lock().await;
                own.keep();
                Some(own.record())
            }
            None => None,
        };
        ServerRecord {
            access: self.access.clone(),
            own,
        }
    }
}
