//! How a client comes to its server: straight, or through a port-forward that is made when it is needed and made anew
//! when it has ended.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use opensearch::{OpenSearch, http::transport::Transport};
use tokio::sync;
use url::Url;

use super::{Error, Result, Settings};
use crate::forward::{Forward, NoForward, Place, also};

/// Makes a transport to an address.
pub(super) type Connect = dyn Fn(Url) -> Result<Transport> + Send + Sync;

/// How one comes to the server.
#[derive(Clone)]
pub(super) enum Way {
    /// By its address.
    Straight(Arc<Path>),
    /// Through a cluster.
    Forwarded(Arc<Forwarded>),
}

/// What is spoken through.
pub(super) struct Path {
    pub api: OpenSearch,
    /// The address that is asked in truth.
    pub url: Url,
}

/// A way through a cluster, for all clones of a client.
pub(super) struct Forwarded {
    settings: Settings,
    place: Place,
    connect: Box<Connect>,
    open: sync::Mutex<Option<(Forward, Arc<Path>)>>,
    /// Why the one before is no more.
    ended: Mutex<Option<String>>,
    notes: Mutex<Vec<String>>,
}

impl Way {
    pub(super) fn of(settings: &Settings, connect: Box<Connect>) -> Result<Self> {
        let Some(place) = settings.place() else {
            return Ok(Self::Straight(Path::to(settings.url().clone(), &connect)?));
        };
        Ok(Self::Forwarded(Arc::new(Forwarded {
            settings: settings.clone(),
            place: place.clone(),
            connect,
            open: sync::Mutex::default(),
            ended: Mutex::default(),
            notes: Mutex::default(),
        })))
    }

    /// What is spoken through now.
    ///
    /// # Errors
    /// [`Error::Forward`].
    pub(super) async fn path(&self) -> Result<Arc<Path>> {
        match self {
            Self::Straight(path) => Ok(Arc::clone(path)),
            Self::Forwarded(forwarded) => forwarded.path().await,
        }
    }

    /// An error of this path, with what is known of it: one that broke is not used again.
    pub(super) async fn told(&self, path: &Path, error: Error) -> Error {
        match self {
            Self::Forwarded(forwarded) if error.is_broken() => forwarded.broken(path, error).await,
            _ => error,
        }
    }

    /// The command that makes it.
    pub(super) fn command(&self) -> Option<String> {
        let Self::Forwarded(forwarded) = self else {
            return None;
        };
        let kubectl = forwarded.settings.kubectl();
        Some(kubectl.shown(&forwarded.place.arguments(kubectl)))
    }

    /// What a person should know since the last time.
    pub(super) fn notes(&self) -> Vec<String> {
        match self {
            Self::Straight(_) => Vec::new(),
            Self::Forwarded(forwarded) => mem::take(&mut *locked(&forwarded.notes)),
        }
    }
}

impl Path {
    fn to(url: Url, connect: &Connect) -> Result<Arc<Self>> {
        let api = OpenSearch::new(connect(url.clone())?);
        Ok(Arc::new(Self { api, url }))
    }
}

impl Forwarded {
    async fn path(&self) -> Result<Arc<Path>> {
        let mut open = self.open.lock().await;
        if let Some((forward, path)) = open.as_mut() {
            // Nobody else may be listening there by then.
            if !forward.has_ended() {
                return Ok(Arc::clone(path));
            }
            if let Some((forward, _)) = open.take() {
                *locked(&self.ended) = Some(also(&forward.ended().await));
            }
        }
        let forward = Forward::open(self.settings.kubectl(), &self.place);
        let forward = forward.await.map_err(|error| self.none(error))?;
        let url = Url::parse(&format!("http://127.0.0.1:{}", forward.port()));
        let url = url.map_err(|error| Error::Settings(error.to_string()))?;
        let path = Path::to(url, &self.connect)?;
        *open = Some((forward, Arc::clone(&path)));
        if let Some(words) = locked(&self.ended).take() {
            locked(&self.notes).push(format!(
                "the port-forward to {} has ended{words}; a new one is in its place",
                self.place
            ));
        }
        Ok(path)
    }

    /// Ends what this path went through, and says why it broke.
    async fn broken(&self, path: &Path, error: Error) -> Error {
        let mut open = self.open.lock().await;
        let is_this = open.as_ref().is_some_and(|(_, now)| now.url == path.url);
        let Some((forward, _)) = open.take_if(|_| is_this) else {
            return error;
        };
        let said = forward.ended().await;
        let words = also(&said);
        let error = match NoForward::broken(&said) {
            Some(why) => self.none(why),
            None => error.through(&format!("a port-forward{words}")),
        };
        *locked(&self.ended) = Some(words);
        error
    }

    fn none(&self, error: NoForward) -> Error {
        Error::Forward {
            place: self.place.to_string(),
            error,
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
