//! Where OpenSearch is reached: where somebody has said that it is; else on this machine, else in the cluster that
//! kubectl is set up for.

use std::time::Duration;

use super::{NoSource, kubectl, opensearch::Store};
use crate::{
    forward::{NoForward, Place},
    opensearch::{self, Client, Settings},
};

/// How long OpenSearch may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// OpenSearch, or why it cannot be reached.
pub enum Reached {
    /// With what there is to say of the way to it.
    Yes(Store, Option<String>),
    /// Nowhere.
    No(Away),
}

/// Why OpenSearch cannot be reached.
pub struct Away {
    /// What there is to say before, or in place of the error.
    said: Option<String>,
    /// The last error.
    error: opensearch::Error,
}

/// Sees where OpenSearch can be reached.
pub fn reached(settings: &Settings) -> Result<Reached, NoSource> {
    let there = store(settings)?;
    let Some(error) = unreachable(&there) else {
        let way = way(settings);
        return Ok(Reached::Yes(there, way));
    };
    if settings.is_located() {
        return Ok(Reached::No(Away { said: None, error }));
    }
    let nothing = format!(
        "LOGQ_OPENSEARCH_URL is not set, and nothing answers at {}.",
        opensearch::DEFAULT_URL
    );
    let Some(settings) = settings.in_cluster() else {
        let said = Some(format!(
            "{nothing} No cluster was asked: a user, a token or a certificate is set, and nobody said that it is for \
             OpenSearch there, as LOGQ_OPENSEARCH_URL={} does.",
            Place::usual().address()
        ));
        return Ok(Reached::No(Away { said, error }));
    };
    let there = store(&settings)?;
    Ok(match unreachable(&there) {
        None => Reached::Yes(there, way(&settings)),
        Some(error) => Reached::No(Away {
            said: Some(nothing),
            error,
        }),
    })
}

pub fn store(settings: &Settings) -> Result<Store, NoSource> {
    Ok(Store::new(Client::new(settings)?)?)
}

/// Why it cannot be reached. Another error is left to the questions: whoever
/// may read lines need not be let in here.
fn unreachable(store: &Store) -> Option<opensearch::Error> {
    let error = store.reach(PATIENCE).err()?;
    error.is_unreachable().then_some(error)
}

/// What is said of a way through a cluster.
fn way(settings: &Settings) -> Option<String> {
    let place = settings.place()?;
    let context = settings.kubectl().context_name();
    let context = context.map_or_else(String::new, |name| format!(" of the context {name}"));
    Some(format!("OpenSearch through a port-forward to {place}{context}"))
}

impl Away {
    /// All of it, as sentences.
    pub fn told(&self) -> String {
        let mut told = match (&self.said, &self.error) {
            (Some(said), error @ opensearch::Error::Forward { .. }) => format!("{said} {error}"),
            (Some(said), _) => said.clone(),
            (None, error) => error.to_string(),
        };
        if !told.ends_with(['.', '?']) {
            told.push('.');
        }
        told
    }

    /// The error, where OpenSearch alone was asked for.
    pub fn alone(self) -> NoSource {
        match self.said {
            Some(_) => NoSource::Away(self.told()),
            None => self.error.into(),
        }
    }

    /// The error, as one of two sources.
    pub fn into_error(self) -> opensearch::Error {
        self.error
    }

    /// The error, where the pods cannot be asked either.
    pub fn beside(self, kubectl: kubectl::Error) -> NoSource {
        NoSource::Neither {
            opensearch: self.told(),
            kubectl,
        }
    }

    /// The same, unless it is known that the pods cannot be asked either: without kubectl or a way to the cluster.
    pub fn without_pods(self) -> Result<Self, NoSource> {
        match self {
            Self {
                said,
                error:
                    opensearch::Error::Forward {
                        place,
                        error: NoForward::Kubectl(kubectl),
                    },
            } => Err(NoSource::Neither {
                opensearch: said
                    .unwrap_or_else(|| format!("OpenSearch is to be reached by a port-forward to {place}.")),
                kubectl,
            }),
            away => Ok(away),
        }
    }
}
