//! The transport to OpenSearch: direct, or through a port-forward that is opened on demand and replaced when it ends.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use opensearch::{OpenSearch, http::transport::Transport};
use tokio::sync;
use url::Url;

use super::{Error, Result, Settings};
use crate::forward::{Forward, ForwardError, ServiceRef, stderr_suffix};

/// Creates a transport for a URL.
pub(super) type Connect = dyn Fn(Url) -> Result<Transport> + Send + Sync;

#[derive(Clone)]
pub(super) enum ClientTransport {
    /// To the configured URL.
    Direct(Arc<Connection>),
    /// Through a port-forward into a cluster.
    PortForward(Arc<PortForward>),
}

pub(super) struct Connection {
    pub api: OpenSearch,
    /// The effective URL.
    pub url: Url,
}

/// A port-forward that all clones of a client share.
pub(super) struct PortForward {
    settings: Settings,
    service: ServiceRef,
    connect: Box<Connect>,
    active: sync::Mutex<Option<(Forward, Arc<Connection>)>>,
    /// Why the previous port-forward ended.
    end_reason: Mutex<Option<String>>,
    notes: Mutex<Vec<String>>,
}

impl ClientTransport {
    pub(super) fn new(settings: &Settings, connect: Box<Connect>) -> Result<Self> {
        let Some(service) = settings.service() else {
            return Ok(Self::Direct(Connection::open(settings.url().clone(), &connect)?));
        };
        Ok(Self::PortForward(Arc::new(PortForward {
            settings: settings.clone(),
            service: service.clone(),
            connect,
            active: sync::Mutex::default(),
            end_reason: Mutex::default(),
            notes: Mutex::default(),
        })))
    }

    /// The current connection.
    ///
    /// # Errors
    /// [`Error::Forward`].
    pub(super) async fn connection(&self) -> Result<Arc<Connection>> {
        match self {
            Self::Direct(connection) => Ok(Arc::clone(connection)),
            Self::PortForward(forward) => forward.connection().await,
        }
    }

    /// Adds the reason for a broken port-forward to an error, and closes it.
    pub(super) async fn explain_error(&self, connection: &Connection, error: Error) -> Error {
        match self {
            Self::PortForward(forward) if error.is_connection_lost() => {
                forward.close_broken(connection, error).await
            }
            _ => error,
        }
    }

    /// The kubectl command of the port-forward.
    pub(super) fn command(&self) -> Option<String> {
        let Self::PortForward(forward) = self else {
            return None;
        };
        let kubectl = forward.settings.kubectl();
        Some(kubectl.command_line(&forward.service.forward_arguments(kubectl)))
    }

    /// Takes the messages since the last call.
    pub(super) fn take_notes(&self) -> Vec<String> {
        match self {
            Self::Direct(_) => Vec::new(),
            Self::PortForward(forward) => mem::take(&mut *lock(&forward.notes)),
        }
    }
}

impl Connection {
    fn open(url: Url, connect: &Connect) -> Result<Arc<Self>> {
        let api = OpenSearch::new(connect(url.clone())?);
        Ok(Arc::new(Self { api, url }))
    }
}

impl PortForward {
    async fn connection(&self) -> Result<Arc<Connection>> {
        let mut active = self.active.lock().await;
        if let Some((forward, connection)) = active.as_mut() {
            // Another program may listen on the port by then.
            if !forward.has_ended() {
                return Ok(Arc::clone(connection));
            }
            if let Some((forward, _)) = active.take() {
                *lock(&self.end_reason) = Some(stderr_suffix(&forward.into_stderr().await));
            }
        }
        let forward = Forward::open(self.settings.kubectl(), &self.service);
        let forward = forward.await.map_err(|error| self.forward_error(error))?;
        let url = Url::parse(&format!("http://127.0.0.1:{}", forward.port()));
        let url = url.map_err(|error| Error::Settings(error.to_string()))?;
        let connection = Connection::open(url, &self.connect)?;
        *active = Some((forward, Arc::clone(&connection)));
        if let Some(reason) = lock(&self.end_reason).take() {
            lock(&self.notes).push(format!(
                "the port-forward to {} ended{reason}; logq opened a new one",
                self.service
            ));
        }
        Ok(connection)
    }

    /// Closes a broken port-forward, and explains the error.
    async fn close_broken(&self, connection: &Connection, error: Error) -> Error {
        let mut active = self.active.lock().await;
        let is_this = active.as_ref().is_some_and(|(_, now)| now.url == connection.url);
        let Some((forward, _)) = active.take_if(|_| is_this) else {
            return error;
        };
        let stderr = forward.into_stderr().await;
        let suffix = stderr_suffix(&stderr);
        let error = match ForwardError::from_broken_connection(&stderr) {
            Some(why) => self.forward_error(why),
            None => error.through(&format!("a port-forward{suffix}")),
        };
        *lock(&self.end_reason) = Some(suffix);
        error
    }

    fn forward_error(&self, error: ForwardError) -> Error {
        Error::Forward {
            service: self.service.to_string(),
            error,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
