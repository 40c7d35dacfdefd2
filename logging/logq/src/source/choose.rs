//! Which source is asked.
//!
//! Architecture invariant: pods stand in for OpenSearch only where OpenSearch
//! cannot be reached, and it is said. Whatever OpenSearch answers, be it a
//! refusal, is its answer.

use std::{io, time::Duration};

use super::{
    Source, SourceError,
    both::Both,
    kubectl::{self, Kubectl, Scope},
    opensearch::Store,
};
use crate::{
    cli::{From as Wish, Search},
    opensearch::{self, Client, Settings, SettingsError},
    plan::Wanted,
};

/// How long OpenSearch may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// What pods do not tell.
const UNSEEN: &str = "not seen so: lines of pods that were deleted, of nodes that are gone, of files that were \
                      rotated away, and of starts before the last two";

/// The source that is asked.
pub struct Chosen {
    /// The source.
    pub source: Source,
    /// What a person should know before its lines.
    pub notes: Vec<String>,
    /// Whether nobody has asked for this one by name.
    pub is_automatic: bool,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum NoSource {
    /// The one that was asked for does not answer.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The system has nothing left for waiting.
    #[error("cannot wait for OpenSearch: {0}")]
    System(#[from] io::Error),
    /// Neither is there.
    #[error(
        "there is nobody to ask for lines: say in LOGQ_OPENSEARCH_URL where OpenSearch is, or see that `kubectl get \
         pods` works, or name files (logq FILE…). {opensearch} And of the pods: {kubectl}"
    )]
    Neither {
        /// Why not OpenSearch.
        opensearch: String,
        /// Why not the pods.
        kubectl: kubectl::Error,
    },
}

impl From<opensearch::Error> for NoSource {
    fn from(error: opensearch::Error) -> Self {
        Self::Source(error.into())
    }
}

impl From<kubectl::Error> for NoSource {
    fn from(error: kubectl::Error) -> Self {
        Self::Source(error.into())
    }
}

/// How OpenSearch is reached, found out when it is needed.
pub type Find<'a> = dyn Fn() -> Result<Settings, SettingsError> + 'a;

/// Chooses the source of a search.
///
/// # Errors
/// [`NoSource`].
pub fn choose(search: &Search, wanted: &Wanted, settings: &Find<'_>) -> Result<Chosen, NoSource> {
    let pods = || pods(search, wanted);
    let named = |source| Chosen {
        source,
        notes: Vec::new(),
        is_automatic: false,
    };
    match search.asked.source {
        Wish::Opensearch => Ok(named(Source::OpenSearch(store(&settings()?)?))),
        Wish::Kubectl => Ok(named(Source::Kubectl(pods()?))),
        Wish::Both => both(&settings()?, pods).map(|both| named(Source::Both(Box::new(both)))),
        Wish::Auto => automatic(&settings()?, pods),
    }
}

fn store(settings: &Settings) -> Result<Store, NoSource> {
    Ok(Store::new(Client::new(settings)?)?)
}

/// Why it cannot be reached. Another error is left to the questions: whoever
/// may read lines need not be let in here.
fn unreachable(store: &Store) -> Option<opensearch::Error> {
    let error = store.reach(PATIENCE).err()?;
    error.is_unreachable().then_some(error)
}

fn pods(search: &Search, wanted: &Wanted) -> Result<Kubectl, kubectl::Error> {
    let program = search.asked.kubectl.clone();
    let is_pattern = |name: &String| name.contains(['*', '?', '[', '{', '\\']);
    let mut namespaces = search.select.namespace.clone();
    if namespaces.iter().any(is_pattern) {
        namespaces.clear();
    }
    namespaces.sort_unstable();
    namespaces.dedup();
    // Which lines belong together, other pods may say.
    let selector = search.select.selector.clone().filter(|_| !wanted.depends());
    Kubectl::new(program, Scope { namespaces, selector })
}

fn automatic(
    settings: &Settings,
    pods: impl FnOnce() -> Result<Kubectl, kubectl::Error>,
) -> Result<Chosen, NoSource> {
    let store = store(settings)?;
    let Some(unreachable) = unreachable(&store) else {
        return Ok(Chosen {
            source: Source::OpenSearch(store),
            notes: Vec::new(),
            is_automatic: true,
        });
    };
    let opensearch = told(settings, &unreachable);
    match pods() {
        Ok(pods) => Ok(Chosen {
            source: Source::Kubectl(pods),
            notes: vec![format!(
                "{opensearch} The pods are asked with kubectl instead; {UNSEEN}."
            )],
            is_automatic: true,
        }),
        Err(kubectl) => Err(NoSource::Neither { opensearch, kubectl }),
    }
}

fn told(settings: &Settings, unreachable: &opensearch::Error) -> String {
    if settings.is_located() {
        return unreachable.to_string();
    }
    format!(
        "LOGQ_OPENSEARCH_URL is not set, and nothing answers at {}.",
        opensearch::DEFAULT_URL
    )
}

/// What one of them does not answer, the other does.
fn both(
    settings: &Settings,
    pods: impl FnOnce() -> Result<Kubectl, kubectl::Error>,
) -> Result<Both, NoSource> {
    let store = store(settings)?;
    match (unreachable(&store), pods()) {
        (None, Ok(pods)) => Ok(Both::new(Some(store), Some(pods), None)),
        (None, Err(error)) => Ok(Both::new(Some(store), None, Some(error.into()))),
        (Some(error), Ok(pods)) => Ok(Both::new(None, Some(pods), Some(error.into()))),
        (Some(opensearch), Err(kubectl)) => Err(NoSource::Neither {
            opensearch: told(settings, &opensearch),
            kubectl,
        }),
    }
}
