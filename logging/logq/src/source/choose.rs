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
    combined::CombinedSource,
    kubectl::{self, KubectlProgram, KubectlSource, Scope},
    opensearch::OpenSearchSource,
    reach::{self, Reachability},
};
use crate::{
    cli::{Search, SourceKind},
    filter::{Filter, Glob},
    opensearch::{self, Settings, SettingsError},
    query::Query,
};

/// What pods do not tell.
const POD_LIMITATIONS: &str = "not seen so: lines of pods that were deleted, of nodes that are gone, of files that were \
                      rotated away, and of starts before the last two";

/// Limit for listing pods after OpenSearch answered: an unreachable cluster must not delay that answer.
const FALLBACK_TIMEOUT: Duration = Duration::from_secs(5);

/// The source that is asked.
pub struct ChosenSource {
    /// The source.
    pub source: Source,
    /// What a person should know before its lines.
    pub notes: Vec<String>,
    /// How OpenSearch is reached, where nobody has made the way to it.
    pub connection_note: Option<String>,
    /// Whether nobody has asked for this one by name.
    pub is_automatic: bool,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum ChooseError {
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
    Unavailable(String),
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

impl From<opensearch::Error> for ChooseError {
    fn from(error: opensearch::Error) -> Self {
        Self::Source(error.into())
    }
}

impl From<kubectl::Error> for ChooseError {
    fn from(error: kubectl::Error) -> Self {
        Self::Source(error.into())
    }
}

/// How OpenSearch is reached, found out when it is needed.
pub type LoadSettings<'a> = dyn Fn() -> Result<Settings, SettingsError> + 'a;

/// Chooses the source of a search.
///
/// # Errors
/// [`ChooseError`].
pub fn choose(
    search: &Search,
    query: &Query,
    settings: &LoadSettings<'_>,
) -> Result<ChosenSource, ChooseError> {
    let pods = || {
        let (program, scope) = scope(search, query);
        KubectlSource::new(program, scope)
    };
    let settings = || settings().map(|settings| settings.with_kubectl(&search.source.kubectl));
    let named = |source, connection_note| ChosenSource {
        source,
        notes: Vec::new(),
        connection_note,
        is_automatic: false,
    };
    match search.source.kind {
        SourceKind::Opensearch => {
            let (store, connection_note) = choose_opensearch(&settings()?)?;
            Ok(named(Source::OpenSearch(store), connection_note))
        }
        SourceKind::Kubectl => Ok(named(Source::Kubectl(pods()?), None)),
        SourceKind::Both => choose_both(&settings()?, pods)
            .map(|(both, connection_note)| named(Source::Combined(Box::new(both)), connection_note)),
        SourceKind::Auto => choose_automatically(&settings()?, pods),
    }
}

/// Which cluster is asked for pods, and for which of them.
fn scope(search: &Search, query: &Query) -> (KubectlProgram, Scope) {
    let program = search.source.kubectl.clone();
    let is_pattern = |name: &String| name.contains(['*', '?', '[', '{', '\\']);
    let mut namespaces = search.select.namespace.clone();
    if namespaces.iter().any(is_pattern) {
        namespaces.clear();
    }
    namespaces.sort_unstable();
    namespaces.dedup();
    // Which lines belong together, other pods may say.
    let selector = search.select.selector.clone().filter(|_| !query.needs_context());
    (program, Scope { namespaces, selector })
}

/// The note when pods are asked in place of OpenSearch.
fn fallback_note(pods: &KubectlSource) -> String {
    let context = pods.context_name();
    let context = context.map_or_else(String::new, |name| format!(" of the context {name}"));
    format!("The pods{context} are asked with kubectl instead; {POD_LIMITATIONS}.")
}

/// OpenSearch and nobody else. Where somebody has said where it is, the first question finds out whether it is there.
fn choose_opensearch(settings: &Settings) -> Result<(OpenSearchSource, Option<String>), ChooseError> {
    if settings.has_explicit_url() && settings.service().is_none() {
        return Ok((reach::connect(settings)?, None));
    }
    match reach::check(settings)? {
        Reachability::Reached(store, connection_note) => Ok((store, connection_note)),
        Reachability::Unavailable(unavailable) => Err(unavailable.into_error_for_opensearch_only()),
    }
}

fn choose_automatically(
    settings: &Settings,
    pods: impl FnOnce() -> Result<KubectlSource, kubectl::Error>,
) -> Result<ChosenSource, ChooseError> {
    let unavailable = match reach::check(settings)? {
        Reachability::Reached(store, connection_note) => {
            return Ok(ChosenSource {
                source: Source::OpenSearch(store),
                notes: Vec::new(),
                connection_note,
                is_automatic: true,
            });
        }
        Reachability::Unavailable(unavailable) => unavailable,
    };
    let unavailable = unavailable.unless_pods_unavailable()?;
    match pods() {
        Ok(pods) => Ok(ChosenSource {
            notes: vec![format!("{} {}", unavailable.explanation(), fallback_note(&pods))],
            source: Source::Kubectl(pods),
            connection_note: None,
            is_automatic: true,
        }),
        Err(kubectl) => Err(unavailable.with_kubectl_error(kubectl)),
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
    query: &Query,
    chosen: &ChosenSource,
) -> Result<Option<ChosenSource>, kubectl::Error> {
    let Source::OpenSearch(store) = &chosen.source else {
        return Ok(None);
    };
    let Some(namespaces_filter) = namespace_filter(search).filter(|_| chosen.is_automatic) else {
        return Ok(None);
    };
    let component = |glob: &Glob| Filter::Glob(field::COMPONENT.to_owned(), glob.clone());
    let mut candidates: Vec<(Option<&Glob>, Filter)> = query
        .components
        .iter()
        .map(|glob| {
            (
                Some(glob),
                Filter::All(vec![namespaces_filter.clone(), component(glob)]),
            )
        })
        .collect();
    if candidates.is_empty() {
        candidates.push((None, namespaces_filter));
    }
    // Where OpenSearch cannot say whether it has any, its answer stands.
    candidates.retain(|(_, lines)| store.has_match(lines).is_ok_and(|any| !any));
    if candidates.is_empty() {
        return Ok(None);
    }
    let (program, scope) = scope(search, query);
    let pods = match KubectlSource::within(program, scope, FALLBACK_TIMEOUT) {
        Ok(pods) => pods,
        Err(late @ kubectl::Error::Timeout(_)) => return Err(late),
        // Without a cluster there are no pods.
        Err(_) => return Ok(None),
    };
    let has_lines = |lines: &Filter| {
        let mut containers = pods.containers().iter();
        containers.any(|container| {
            !matches!(container.logs, kubectl::AvailableLogs::Pending(_)) && container.may_match(lines)
        })
    };
    candidates.retain(|(_, lines)| has_lines(lines));
    let names: Vec<&str> = candidates
        .iter()
        .map(|(glob, _)| glob.map_or("these pods", Glob::as_str))
        .collect();
    Ok((!names.is_empty()).then(|| ChosenSource {
        notes: vec![format!(
            "OpenSearch has no line of {}, of any time. {} `logq doctor` says whether lines arrive.",
            names.join(", "),
            fallback_note(&pods)
        )],
        source: Source::Kubectl(pods),
        connection_note: None,
        is_automatic: true,
    }))
}

/// The lines of the namespaces that are asked for.
fn namespace_filter(search: &Search) -> Option<Filter> {
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
fn choose_both(
    settings: &Settings,
    pods: impl FnOnce() -> Result<KubectlSource, kubectl::Error>,
) -> Result<(CombinedSource, Option<String>), ChooseError> {
    match (reach::check(settings)?, pods()) {
        (Reachability::Reached(store, connection_note), Ok(pods)) => Ok((
            CombinedSource::new(Some(store), Some(pods), None),
            connection_note,
        )),
        (Reachability::Reached(store, connection_note), Err(error)) => Ok((
            CombinedSource::new(Some(store), None, Some(error.into())),
            connection_note,
        )),
        (Reachability::Unavailable(unavailable), Ok(pods)) => Ok((
            CombinedSource::new(None, Some(pods), Some(unavailable.into_error().into())),
            None,
        )),
        (Reachability::Unavailable(unavailable), Err(kubectl)) => {
            Err(unavailable.with_kubectl_error(kubectl))
        }
    }
}
