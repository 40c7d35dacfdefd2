//! Connects to OpenSearch: at the configured URL, or on this machine, then in the current cluster.

use std::time::Duration;

use super::ChooseError;
use crate::{
    kubernetes::{ForwardError, ServiceRef},
    opensearch::{self, Client, OpenSearchSettings},
    source::{opensearch::OpenSearchSource, pods},
};

const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

pub enum Reachability {
    /// With a note about a port-forward.
    Reached(OpenSearchSource, Option<String>),
    Unavailable(Unavailable),
}

/// Why OpenSearch is unavailable.
pub struct Unavailable {
    /// What to say before or instead of the error.
    preamble: Option<String>,
    error: opensearch::Error,
}

/// Finds a reachable OpenSearch.
pub fn check(settings: &OpenSearchSettings) -> Result<Reachability, ChooseError> {
    let source = connect(settings)?;
    let Some(error) = connection_error(&source) else {
        let connection_note = connection_note(settings);
        return Ok(Reachability::Reached(source, connection_note));
    };
    if settings.has_explicit_url() {
        return Ok(Reachability::Unavailable(Unavailable {
            preamble: None,
            error,
        }));
    }
    let no_local_opensearch = format!(
        "LOGQ_OPENSEARCH_URL is not set, and nothing answers at {}.",
        opensearch::DEFAULT_URL
    );
    let Some(settings) = settings.in_cluster() else {
        let preamble = Some(format!(
            "{no_local_opensearch} logq did not try the cluster: a user, a token or a certificate is set, \
             which may belong to another server. To use it there, set LOGQ_OPENSEARCH_URL={}.",
            ServiceRef::default_opensearch().url()
        ));
        return Ok(Reachability::Unavailable(Unavailable { preamble, error }));
    };
    let source = connect(&settings)?;
    Ok(match connection_error(&source) {
        None => Reachability::Reached(source, connection_note(&settings)),
        Some(error) => Reachability::Unavailable(Unavailable {
            preamble: Some(no_local_opensearch),
            error,
        }),
    })
}

pub fn connect(settings: &OpenSearchSettings) -> Result<OpenSearchSource, ChooseError> {
    Ok(OpenSearchSource::new(Client::new(settings)?)?)
}

/// The connection error, if any. Ignores other errors: a user who may read lines may lack other permissions.
fn connection_error(store: &OpenSearchSource) -> Option<opensearch::Error> {
    let error = store.reach(HELLO_TIMEOUT).err()?;
    error.is_unreachable().then_some(error)
}

/// The note about a port-forward.
fn connection_note(settings: &OpenSearchSettings) -> Option<String> {
    let port_forward = settings.port_forward()?;
    Some(format!("OpenSearch through {port_forward}"))
}

impl Unavailable {
    /// The complete explanation, as sentences.
    pub fn explanation(&self) -> String {
        let mut explanation = match (&self.preamble, &self.error) {
            (Some(preamble), error @ opensearch::Error::Forward { .. }) => format!("{preamble} {error}"),
            (Some(preamble), _) => preamble.clone(),
            (None, error) => error.to_string(),
        };
        if !explanation.ends_with(['.', '?']) {
            explanation.push('.');
        }
        explanation
    }

    /// The error if the user requires OpenSearch.
    pub fn into_error_for_opensearch_only(self) -> ChooseError {
        match self.preamble {
            Some(_) => ChooseError::Unavailable(self.explanation()),
            None => self.error.into(),
        }
    }

    /// The error as one of two sources.
    pub fn into_error(self) -> opensearch::Error {
        self.error
    }

    /// The error if pods are unavailable, too.
    pub fn with_pods_error(self, pods: pods::Error) -> ChooseError {
        ChooseError::Neither {
            opensearch: self.explanation(),
            pods,
        }
    }

    /// Returns an error if pods are certainly unavailable, too: without a cluster.
    pub fn unless_pods_unavailable(self) -> Result<Self, ChooseError> {
        match self {
            Self {
                preamble,
                error:
                    opensearch::Error::Forward {
                        service,
                        error: ForwardError::Cluster(error),
                    },
            } => Err(ChooseError::Neither {
                opensearch: preamble.unwrap_or_else(|| {
                    format!("logq reaches OpenSearch through a port-forward to {service}.")
                }),
                pods: error.into(),
            }),
            unavailable => Ok(unavailable),
        }
    }
}
