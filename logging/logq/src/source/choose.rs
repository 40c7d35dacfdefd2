//! Which source is asked.
//!
//! Architecture invariant: pods stand in for OpenSearch only where OpenSearch
//! cannot be reached, and it is said. Whatever OpenSearch answers, be it a
//! refusal, is its answer.

use std::io;

use super::{
    Source, SourceError,
    both::Both,
    kubectl::{self, Kubectl, Scope},
    opensearch::Store,
    reach::{self, Reached},
};
use crate::{
    cli::{From as Wish, Search},
    opensearch::{self, Settings, SettingsError},
    plan::Wanted,
};

/// What pods do not tell.
const UNSEEN: &str = "not seen so: lines of pods that were deleted, of nodes that are gone, of files that were \
                      rotated away, and of starts before the last two";

/// The source that is asked.
pub struct Chosen {
    /// The source.
    pub source: Source,
    /// What a person should know before its lines.
    pub notes: Vec<String>,
    /// How OpenSearch is reached, where nobody has made the way to it.
    pub way: Option<String>,
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
    /// OpenSearch alone was asked for, and nothing is where it is looked for.
    #[error(
        "{0} Say in LOGQ_OPENSEARCH_URL where OpenSearch is: http://…, https://…, or kubernetes://NAMESPACE/SERVICE in \
         a cluster"
    )]
    Away(String),
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
    let settings = || settings().map(|settings| settings.by(&search.asked.kubectl));
    let named = |source, way| Chosen {
        source,
        notes: Vec::new(),
        way,
        is_automatic: false,
    };
    match search.asked.source {
        Wish::Opensearch => {
            let (store, way) = alone(&settings()?)?;
            Ok(named(Source::OpenSearch(store), way))
        }
        Wish::Kubectl => Ok(named(Source::Kubectl(pods()?), None)),
        Wish::Both => both(&settings()?, pods).map(|(both, way)| named(Source::Both(Box::new(both)), way)),
        Wish::Auto => automatic(&settings()?, pods),
    }
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

/// OpenSearch and nobody else. Where somebody has said where it is, the first question finds out whether it is there.
fn alone(settings: &Settings) -> Result<(Store, Option<String>), NoSource> {
    if settings.is_located() && settings.place().is_none() {
        return Ok((reach::store(settings)?, None));
    }
    match reach::reached(settings)? {
        Reached::Yes(store, way) => Ok((store, way)),
        Reached::No(away) => Err(away.alone()),
    }
}

fn automatic(
    settings: &Settings,
    pods: impl FnOnce() -> Result<Kubectl, kubectl::Error>,
) -> Result<Chosen, NoSource> {
    let away = match reach::reached(settings)? {
        Reached::Yes(store, way) => {
            return Ok(Chosen {
                source: Source::OpenSearch(store),
                notes: Vec::new(),
                way,
                is_automatic: true,
            });
        }
        Reached::No(away) => away,
    };
    let away = away.without_pods()?;
    match pods() {
        Ok(pods) => Ok(Chosen {
            source: Source::Kubectl(pods),
            notes: vec![format!(
                "{} The pods are asked with kubectl instead; {UNSEEN}.",
                away.told()
            )],
            way: None,
            is_automatic: true,
        }),
        Err(kubectl) => Err(away.beside(kubectl)),
    }
}

/// What one of them does not answer, the other does.
fn both(
    settings: &Settings,
    pods: impl FnOnce() -> Result<Kubectl, kubectl::Error>,
) -> Result<(Both, Option<String>), NoSource> {
    match (reach::reached(settings)?, pods()) {
        (Reached::Yes(store, way), Ok(pods)) => Ok((Both::new(Some(store), Some(pods), None), way)),
        (Reached::Yes(store, way), Err(error)) => Ok((Both::new(Some(store), None, Some(error.into())), way)),
        (Reached::No(away), Ok(pods)) => {
            Ok((Both::new(None, Some(pods), Some(away.into_error().into())), None))
        }
        (Reached::No(away), Err(kubectl)) => Err(away.beside(kubectl)),
    }
}
