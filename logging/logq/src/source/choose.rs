//! Chooses the source.
//!
//! Architecture invariant: pods replace OpenSearch only if it is unreachable, or never had a line of a component with
//! pods; a note says so. Any other answer of OpenSearch, even an error, is final.

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

/// What pods cannot show.
const POD_LIMITATIONS: &str = "missing there: lines of deleted pods, of removed nodes, of rotated files, and \
    from before the last two container starts";

/// Limit for listing pods after OpenSearch answered: an unreachable cluster must not delay that answer.
const FALLBACK_TIMEOUT: Duration = Duration::from_secs(5);

pub struct ChosenSource {
    pub source: Source,
    /// Notes to print before the lines.
    pub notes: Vec<String>,
    /// How OpenSearch is reached, if logq opened a port-forward.
    pub connection_note: Option<String>,
    /// Whether the user did not choose the source.
    pub is_automatic: bool,
}

/// Why no source is available.
#[derive(Debug, thiserror::Error)]
pub enum ChooseError {
    /// The chosen source fails.
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// No runtime for requests.
    #[error("cannot start a runtime for requests: {0}")]
    System(#[from] io::Error),
    /// OpenSearch is required but not found.
    #[error(
        "{0} Set LOGQ_OPENSEARCH_URL to http://…, https://…, or kubernetes://NAMESPACE/SERVICE in a cluster"
    )]
    Unavailable(String),
    /// Neither OpenSearch nor pods are available.
    #[error(
        "no source of lines: set LOGQ_OPENSEARCH_URL, make `kubectl get pods` work, or name files (logq \
         FILE…). OpenSearch: {opensearch} Pods: {kubectl}"
    )]
    Neither {
        opensearch: String,
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

/// Loads the connection settings on demand.
pub type LoadSettings<'a> = dyn Fn() -> Result<Settings, SettingsError> + 'a;

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

/// The kubectl options, and which pods to list.
fn scope(search: &Search, query: &Query) -> (KubectlProgram, Scope) {
    let program = search.source.kubectl.clone();
    let is_pattern = |name: &String| name.contains(['*', '?', '[', '{', '\\']);
    let mut namespaces = search.select.namespace.clone();
    if namespaces.iter().any(is_pattern) {
        namespaces.clear();
    }
    namespaces.sort_unstable();
    namespaces.dedup();
    // Other pods may contribute to the context.
    let selector = search.select.selector.clone().filter(|_| !query.needs_context());
    (program, Scope { namespaces, selector })
}

/// A note that pods replace OpenSearch.
fn fallback_note(pods: &KubectlSource) -> String {
    let context = pods.context_name();
    let context = context.map_or_else(String::new, |name| format!(" of the context {name}"));
    format!("logq reads the pods{context} with kubectl instead; {POD_LIMITATIONS}.")
}

/// Requires OpenSearch. For a configured URL, the first request shows whether it is reachable.
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

/// Switches to pods if OpenSearch was chosen automatically and never had a line of a component whose pods have lines,
/// for example without Fluentd. None if OpenSearch's answer is final.
///
/// It costs a request for each component: call it only after a search that found nothing.
///
/// # Errors
/// The cluster does not list its pods in time, so they may have lines.
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
    // If OpenSearch cannot tell, its answer is final.
    candidates.retain(|(_, lines)| store.has_match(lines).is_ok_and(|any| !any));
    if candidates.is_empty() {
        return Ok(None);
    }
    let (program, scope) = scope(search, query);
    let pods = match KubectlSource::within(program, scope, FALLBACK_TIMEOUT) {
        Ok(pods) => pods,
        Err(late @ kubectl::Error::Timeout(_)) => return Err(late),
        // Without a cluster, there are no pods.
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
            "OpenSearch has no lines of {}. {} `logq doctor` checks whether lines arrive.",
            names.join(", "),
            fallback_note(&pods)
        )],
        source: Source::Kubectl(pods),
        connection_note: None,
        is_automatic: true,
    }))
}

/// Lines of the requested namespaces.
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

/// One of the two is enough.
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
