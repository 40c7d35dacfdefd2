//! The transport to OpenSearch: direct, or through a port-forward that is opened on demand and replaced when it ends.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use opensearch::{OpenSearch, http::transport::Transport};
use tokio::sync;
use url::Url;

use super::{Error, OpenSearchSettings, Result};
use crate::kubernetes::{ForwardError, PortForward, ServiceRef};

/// Creates a transport for a URL.
pub(super) type Connect = dyn Fn(Url) -> Result<Transport> + Send + Sync;

#[derive(Clone)]
pub(super) enum ClientTransport {
    /// To the configured URL.
    Direct(Arc<Connection>),
    /// Through a port-forward into a cluster.
    Forwarded(Arc<ForwardedTransport>),
}

pub(super) struct Connection {
    pub api: OpenSearch,
    /// The effective URL.
    pub url: Url,
}

/// A port-forward that all clones of a client share.
pub(super) struct ForwardedTransport {
    settings: OpenSearchSettings,
    service: ServiceRef,
    connect: Box<Connect>,
    active: sync::Mutex<Option<(PortForward, Arc<Connection>)>>,
    /// Why the previous port-forward ended.
    end_reason: Mutex<Option<ForwardError>>,
    notes: Mutex<Vec<String>>,
}

impl ClientTransport {
    pub(super) fn new(settings: &OpenSearchSettings, connect: Box<Connect>) -> Result<Self> {
        let Some(service) = settings.service() else {
            return Ok(Self::Direct(Connection::open(settings.url().clone(), &connect)?));
        };
        Ok(Self::Forwarded(Arc::new(ForwardedTransport {
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
            Self::Forwarded(forward) => forward.connection().await,
        }
    }

    /// Adds the reason for a broken port-forward to an error, and closes it.
    pub(super) async fn explain_error(&self, connection: &Connection, error: Error) -> Error {
        match self {
            Self::Forwarded(forward) if error.is_connection_lost() => {
                forward.close_broken(connection, error).await
            }
            _ => error,
        }
    }

    /// Describes the port-forward.
    pub(super) fn port_forward(&self) -> Option<String> {
        match self {
            Self::Direct(_) => None,
            Self::Forwarded(forward) => forward.settings.port_forward(),
        }
    }

    /// Takes the messages since the last call.
    pub(super) fn take_notes(&self) -> Vec<String> {
        match self {
            Self::Direct(_) => Vec::new(),
            Self::Forwarded(forward) => mem::take(&mut *lock(&forward.notes)),
        }
    }
}

impl Connection {
    fn open(url: Url, connect: &Connect) -> Result<Arc<Self>> {
        let api = OpenSearch::new(connect(url.clone())?);
        Ok(Arc::new(Self { api, url }))
    }
}

impl ForwardedTransport {
    async fn connection(&self) -> Result<Arc<Connection>> {
        let mut active = self.active.lock().await;
        if let Some((forward, connection)) = active.as_ref() {
            let Some(end) = forward.end() else {
                return Ok(Arc::clone(connection));
            };
            *lock(&self.end_reason) = Some(end);
            *active = None;
        }
        let forward = PortForward::open(self.settings.cluster(), &self.service);
        let forward = forward.await.map_err(|error| self.forward_error(error))?;
        let url = Url::parse(&format!("http://127.0.0.1:{}", forward.port()));
        let url = url.map_err(|error| Error::Settings(error.to_string()))?;
        let connection = Connection::open(url, &self.connect)?;
        *active = Some((forward, Arc::clone(&connection)));
        if let Some(reason) = lock(&self.end_reason).take() {
            lock(&self.notes).push(format!(
                "the port-forward to {} ended: {reason}; logq opened a new one",
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
        let end = forward.end().unwrap_or_else(|| ForwardError::Failed {
            reason: "it did not answer".to_owned(),
        });
        *lock(&self.end_reason) = Some(end.clone());
        match end {
            ForwardError::Failed { reason } => error.through(&format!("a port-forward: {reason}")),
            end => self.forward_error(end),
        }
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
