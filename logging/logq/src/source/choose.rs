//! Which source is asked.
//!
//! Architecture invariant: pods stand in for OpenSearch only where OpenSearch
//! cannot be reached, and it is said. Whatever OpenSearch answers, be it a
//! refusal, is its answer.

use std::{io, time::Duration};

use super::{
    Source, SourceError,
    both::Both,
    kubectl::{self, Kubectl, Program, Scope},
    opensearch::Store,
};
use crate::{
    cli::{From as Wish, Search},
    opensearch::{self, Client, Lookup, Settings, SettingsError},
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
        "there is nobody to ask for lines. {opensearch} And of the pods: {kubectl}. Say in LOGQ_OPENSEARCH_URL \
         where OpenSearch is, or see that `kubectl get pods` works, or name files: logq FILE…"
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

/// Chooses the source of a search.
///
/// # Errors
/// [`NoSource`].
pub fn choose(search: &Search, wanted: &Wanted, lookup: &Lookup<'_>) -> Result<Chosen, NoSource> {
    let pods = || pods(search, wanted);
    let named = |source| Chosen {
        source,
        notes: Vec::new(),
        is_automatic: false,
    };
    match search.asked.source {
        Wish::Opensearch => Ok(named(Source::OpenSearch(store(lookup)?))),
        Wish::Kubectl => Ok(named(Source::Kubectl(pods()?))),
        Wish::Both => both(lookup, pods).map(|both| named(Source::Both(Box::new(both)))),
        Wish::Auto => automatic(lookup, pods),
    }
}

fn store(lookup: &Lookup<'_>) -> Result<Store, NoSource> {
    let settings = Settings::read(lookup)?;
    Ok(Store::new(Client::new(&settings)?)?)
}

/// Why it cannot be reached. Another error is left to the questions: whoever
/// may read lines need not be let in here.
fn unreachable(store: &Store) -> Option<opensearch::Error> {
    let error = store.reach(PATIENCE).err()?;
    error.is_unreachable().then_some(error)
}

fn pods(search: &Search, wanted: &Wanted) -> Result<Kubectl, kubectl::Error> {
    let program = Program {
        path: search.asked.kubectl.clone(),
        context: search.asked.kube_context.clone(),
        kubeconfig: search.asked.kubeconfig.clone(),
    };
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
    lookup: &Lookup<'_>,
    pods: impl FnOnce() -> Result<Kubectl, kubectl::Error>,
) -> Result<Chosen, NoSource> {
    let store = store(lookup)?;
    let Some(unreachable) = unreachable(&store) else {
        return Ok(Chosen {
            source: Source::OpenSearch(store),
            notes: Vec::new(),
            is_automatic: true,
        });
    };
    let opensearch = told(lookup, &unreachable);
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

fn told(lookup: &Lookup<'_>, unreachable: &opensearch::Error) -> String {
    let is_set = lookup("LOGQ_OPENSEARCH_URL").is_some_and(|url| !url.is_empty());
    if is_set {
        return unreachable.to_string();
    }
    format!(
        "LOGQ_OPENSEARCH_URL is not set, and nothing answers at {}.",
        opensearch::DEFAULT_URL
    )
}

/// What one of them does not answer, the other does.
fn both(
    lookup: &Lookup<'_>,
    pods: impl FnOnce() -> Result<Kubectl, kubectl::Error>,
) -> Result<Both, NoSource> {
    let store = store(lookup)?;
    match (unreachable(&store), pods()) {
        (None, Ok(pods)) => Ok(Both::new(Some(store), Some(pods), None)),
        (None, Err(error)) => Ok(Both::new(Some(store), None, Some(error.into()))),
        (Some(error), Ok(pods)) => Ok(Both::new(None, Some(pods), Some(error.into()))),
        (Some(opensearch), Err(kubectl)) => Err(NoSource::Neither {
            opensearch: told(lookup, &opensearch),
            kubectl,
        }),
    }
}
