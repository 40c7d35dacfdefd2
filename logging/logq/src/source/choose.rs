//! Which source is asked.
//!
//! Architecture invariant: pods stand in for OpenSearch only where OpenSearch
//! cannot be reached, or has never had a line of a component whose pods exist,
//! and it is said. Whatever else OpenSearch answers, be it a refusal, is its
//! answer.

use std::{io, time::Duration};

use schema::field;

use super::{
    Source, SourceError,
    both::Both,
    kubectl::{self, Kubectl, Program, Scope},
    opensearch::Store,
    reach::{self, Reached},
};
use crate::{
    cli::{From as Wish, Search},
    filter::{Filter, Glob},
    opensearch::{self, Settings, SettingsError},
    plan::Wanted,
};

/// What pods do not tell.
const UNSEEN: &str = "not seen so: lines of pods that were deleted, of nodes that are gone, of files that were \
                      rotated away, and of starts before the last two";

/// Limit for listing pods after OpenSearch answered: an unreachable cluster must not delay that answer.
const FALLBACK_PATIENCE: Duration = Duration::from_secs(5);

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
    let pods = || {
        let (program, scope) = scope(search, wanted);
        Kubectl::new(program, scope)
    };
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

/// Which cluster is asked for pods, and for which of them.
fn scope(search: &Search, wanted: &Wanted) -> (Program, Scope) {
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
    (program, Scope { namespaces, selector })
}

/// The note when pods are asked in place of OpenSearch.
fn instead(pods: &Kubectl) -> String {
    let context = pods.context_name();
    let context = context.map_or_else(String::new, |name| format!(" of the context {name}"));
    format!("The pods{context} are asked with kubectl instead; {UNSEEN}.")
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
            notes: vec![format!("{} {}", away.told(), instead(&pods))],
            source: Source::Kubectl(pods),
            way: None,
            is_automatic: true,
        }),
        Err(kubectl) => Err(away.beside(kubectl)),
    }
}

/// The pods, where OpenSearch was chosen automatically and has never had a line of a component whose pods have lines, as
/// without Fluentd. None where the answer of OpenSearch stands.
///
/// It costs a request for each component: ask it only after a search that found nothing.
///
/// # Errors
/// When the cluster does not list its pods in time: they may have lines.
pub fn fall_back_to_pods(
    search: &Search,
    wanted: &Wanted,
    chosen: &Chosen,
) -> Result<Option<Chosen>, kubectl::Error> {
    let Source::OpenSearch(store) = &chosen.source else {
        return Ok(None);
    };
    let Some(within) = within_namespaces(search).filter(|_| chosen.is_automatic) else {
        return Ok(None);
    };
    let component = |glob: &Glob| Filter::Glob(field::COMPONENT.to_owned(), glob.clone());
    let mut asked: Vec<(Option<&Glob>, Filter)> = wanted
        .components
        .iter()
        .map(|glob| (Some(glob), Filter::All(vec![within.clone(), component(glob)])))
        .collect();
    if asked.is_empty() {
        asked.push((None, within));
    }
    // Where OpenSearch cannot say whether it has any, its answer stands.
    asked.retain(|(_, lines)| store.any(lines).is_ok_and(|any| !any));
    if asked.is_empty() {
        return Ok(None);
    }
    let (program, scope) = scope(search, wanted);
    let pods = match Kubectl::within(program, scope, FALLBACK_PATIENCE) {
        Ok(pods) => pods,
        Err(late @ kubectl::Error::Late(_)) => return Err(late),
        // Without a cluster there are no pods.
        Err(_) => return Ok(None),
    };
    let has_lines = |lines: &Filter| {
        let mut containers = pods.containers().iter();
        containers.any(|container| {
            !matches!(container.state, kubectl::State::Waiting(_)) && container.may_match(lines)
        })
    };
    asked.retain(|(_, lines)| has_lines(lines));
    let names: Vec<&str> = asked
        .iter()
        .map(|(glob, _)| glob.map_or("these pods", Glob::as_str))
        .collect();
    Ok((!names.is_empty()).then(|| Chosen {
        notes: vec![format!(
            "OpenSearch has no line of {}, of any time. {} `logq doctor` says whether lines arrive.",
            names.join(", "),
            instead(&pods)
        )],
        source: Source::Kubectl(pods),
        way: None,
        is_automatic: true,
    }))
}

/// The lines of the namespaces that are asked for.
fn within_namespaces(search: &Search) -> Option<Filter> {
    let names = &search.select.namespace;
    let globs: Result<Vec<Glob>, _> = names.iter().map(|name| Glob::new(name)).collect();
    let namespaces: Vec<Filter> = globs
        .ok()?
        .into_iter()
        .map(|glob| Filter::Glob(field::KUBERNETES_NAMESPACE.to_owned(), glob))
        .collect();
    Some(if namespaces.is_empty() {
        Filter::EVERYTHING
    } else {
        Filter::Any(namespaces)
    })
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
