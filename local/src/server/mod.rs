//! One server: started by us, or given from outside.

mod definitions;
mod object_store;
mod own;
mod postgres;
mod rabbitmq;
mod s3_server;

use tokio::sync::Mutex;

pub(crate) use definitions::policies;
pub(crate) use object_store::{create_buckets, start as start_object_store};
pub(crate) use own::Own;
pub(crate) use own::OwnRecord;
pub(crate) use postgres::{create_database, drop_database, start as start_postgres};
pub(crate) use rabbitmq::{management, start as start_rabbitmq};
pub use s3_server::serve as serve_s3;

use crate::error::{Error, Result};

/// A server of the stack. `A` says where it is and how one is let in.
#[derive(Debug)]
pub struct Server<A> {
    name: &'static str,
    access: A,
    own: Option<Mutex<Own>>,
}

impl<A> Server<A> {
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

    /// Its name: `postgres`, `rabbitmq`, `object-store`.
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

    /// Ends it at once, with everything it has started (`SIGKILL`).
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

    pub(crate) async fn record(&self) -> Option<OwnRecord> {
        Some(self.own.as_ref()?.lock().await.record())
    }

    pub(crate) async fn alive(&self) -> bool {
        match &self.own {
            Some(own) => own.lock().await.alive(),
            None => true,
        }
    }
}
