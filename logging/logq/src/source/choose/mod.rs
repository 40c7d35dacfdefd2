//! Chooses the source.
//!
//! Architecture invariant: pods replace OpenSearch only if it is unreachable, or never had a line of a component with
//! pods; a note says so. Any other answer of OpenSearch, even an error, is final.

mod reach;

use std::{fmt, io, path::PathBuf, time::Duration};

use schema::field;

use self::reach::{Reachability, Unavailable};
use super::{
    combined::CombinedSource,
    error::SourceError,
    files::FileSource,
    line_source::LineSource,
    pods::{self, PodScope, PodsSource},
};
use crate::{
    config::Config,
    filter::{Filter, Glob},
    kubernetes::{self, ClusterOptions},
    opensearch::{self, OpenSearchSettings, OpenSearchSettingsError},
    query::Query,
};

/// A choice of `--source`.
pub struct SourceType {
    pub name: &'static str,
    pub help: &'static str,
    open: fn(&SourceRequest, &Query, &Config) -> Result<ChosenSource, ChooseError>,
}

impl SourceType {
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.name == SOURCES[0].name
    }
}

impl fmt::Debug for SourceType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

/// The choices of `--source`; the first is the default.
pub static SOURCES: [SourceType; 4] = [
    SourceType {
        name: "auto",
        help: "OpenSearch; pods if it is unreachable or has none of their lines",
        open: open_automatically,
    },
    SourceType {
        name: "opensearch",
        help: "OpenSearch",
        open: open_opensearch,
    },
    SourceType {
        name: "kubectl",
        help: "Pods, as `kubectl logs` reads them",
        open: open_pods,
    },
    SourceType {
        name: "both",
        help: "Both, without duplicates",
        open: open_both,
    },
];

/// Where to read lines.
#[derive(Clone, Debug)]
pub struct SourceRequest {
    /// Read these instead of [`Self::kind`], unless empty.
    pub files: Vec<PathBuf>,
    pub kind: &'static SourceType,
    pub cluster: ClusterOptions,
    pub namespaces: Vec<String>,
    /// A label selector.
    pub selector: Option<String>,
}

/// What pods cannot show.
const POD_LIMITATIONS: &str = "missing there: lines of deleted pods, of removed nodes, of rotated files, and \
    from before the last two container starts";

/// Limit for listing pods after OpenSearch answered: an unreachable cluster must not delay that answer.
const FALLBACK_TIMEOUT: Duration = Duration::from_secs(5);

pub struct ChosenSource {
    pub source: Box<dyn LineSource>,
    /// Notes to print before the lines.
    pub notes: Vec<String>,
    /// How OpenSearch is reached, if logq opened a port-forward.
    pub connection_note: Option<String>,
    /// OpenSearch, and the user did not choose it.
    pub can_fall_back: bool,
}

impl ChosenSource {
    fn new(source: impl LineSource + 'static) -> Self {
        Self {
            source: Box::new(source),
            notes: Vec::new(),
            connection_note: None,
            can_fall_back: false,
        }
    }
}

/// Why no source is available.
#[derive(Debug, thiserror::Error)]
pub enum ChooseError {
    /// The chosen source fails.
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Settings(#[from] OpenSearchSettingsError),
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
        "no source of lines: set LOGQ_OPENSEARCH_URL, set KUBECONFIG to a cluster with pods, or name files (logq \
         FILE…). {opensearch} Pods: {pods}"
    )]
    Neither { opensearch: String, pods: pods::Error },
}

impl From<opensearch::Error> for ChooseError {
    fn from(error: opensearch::Error) -> Self {
        Self::Source(error.into())
    }
}

impl From<pods::Error> for ChooseError {
    fn from(error: pods::Error) -> Self {
        Self::Source(error.into())
    }
}

/// # Errors
/// [`ChooseError`].
pub fn choose(request: &SourceRequest, query: &Query, config: &Config) -> Result<ChosenSource, ChooseError> {
    if request.files.is_empty() {
        return (request.kind.open)(request, query, config);
    }
    Ok(ChosenSource::new(FileSource {
        paths: request.files.clone(),
    }))
}

/// OpenSearch's connection settings, with the cluster of the request.
fn load_settings(
    request: &SourceRequest,
    config: &Config,
) -> Result<OpenSearchSettings, OpenSearchSettingsError> {
    Ok(config.opensearch()?.with_cluster(&request.cluster))
}

fn list_pods(request: &SourceRequest, query: &Query) -> Result<PodsSource, pods::Error> {
    PodsSource::new(request.cluster.clone(), scope(request, query))
}

fn open_pods(request: &SourceRequest, query: &Query, _config: &Config) -> Result<ChosenSource, ChooseError> {
    Ok(ChosenSource::new(list_pods(request, query)?))
}

/// Which pods to list.
fn scope(request: &SourceRequest, query: &Query) -> PodScope {
    let is_pattern = |name: &String| name.contains(['*', '?', '[', '{', '\\']);
    let mut namespaces = request.namespaces.clone();
    if namespaces.iter().any(is_pattern) {
        namespaces.clear();
    }
    namespaces.sort_unstable();
    namespaces.dedup();
    // Other pods may contribute to the context.
    let selector = request.selector.clone().filter(|_| !query.needs_context());
    PodScope { namespaces, selector }
}

/// A note that pods replace OpenSearch.
fn fallback_note(pods: &PodsSource) -> String {
    let context = pods.context_name();
    let context = context.map_or_else(String::new, |name| format!(" of the context {name}"));
    format!("logq reads the pods{context} instead; {POD_LIMITATIONS}.")
}

/// Requires OpenSearch. For a configured URL, the first request shows whether it is reachable.
fn open_opensearch(
    request: &SourceRequest,
    _query: &Query,
    config: &Config,
) -> Result<ChosenSource, ChooseError> {
    let settings = load_settings(request, config)?;
    if settings.has_explicit_url() && settings.service().is_none() {
        return Ok(ChosenSource::new(reach::connect(&settings)?));
    }
    match reach::check(&settings)? {
        Reachability::Reached(store, connection_note) => Ok(ChosenSource {
            connection_note,
            ..ChosenSource::new(store)
        }),
        Reachability::Unavailable(unavailable) => Err(unavailable.into_error_for_opensearch_only()),
    }
}

fn open_automatically(
    request: &SourceRequest,
    query: &Query,
    config: &Config,
) -> Result<ChosenSource, ChooseError> {
    let unavailable = match reach::check(&load_settings(request, config)?)? {
        Reachability::Reached(store, connection_note) => {
            return Ok(ChosenSource {
                connection_note,
                can_fall_back: true,
                ..ChosenSource::new(store)
            });
        }
        Reachability::Unavailable(unavailable) => unavailable,
    };
    let unavailable = unavailable.unless_pods_unavailable()?;
    match list_pods(request, query) {
        Ok(pods) => Ok(ChosenSource {
            notes: vec![format!("{} {}", unavailable.explanation(), fallback_note(&pods))],
            ..ChosenSource::new(pods)
        }),
        Err(error) => Err(unavailable.with_pods_error(error)),
    }
}

/// One of the two is enough.
fn open_both(request: &SourceRequest, query: &Query, config: &Config) -> Result<ChosenSource, ChooseError> {
    let (store, connection_note, unavailable) = match reach::check(&load_settings(request, config)?)? {
        Reachability::Reached(store, connection_note) => (Some(store), connection_note, None),
        Reachability::Unavailable(unavailable) => (None, None, Some(unavailable)),
    };
    let (pods, missing) = match (list_pods(request, query), unavailable) {
        (Ok(pods), unavailable) => (
            Some(pods),
            unavailable.map(Unavailable::into_error).map(Into::into),
        ),
        (Err(error), Some(unavailable)) => return Err(unavailable.with_pods_error(error)),
        (Err(error), None) => (None, Some(error.into())),
    };
    Ok(ChosenSource {
        connection_note,
        ..ChosenSource::new(CombinedSource::new(store, pods, missing))
    })
}

/// Switches to pods if OpenSearch was chosen automatically and never had a line of a component whose pods have lines,
/// for example without Fluentd. None if OpenSearch's answer is final.
///
/// It costs a request for each component: call it only after a search that found nothing.
///
/// # Errors
/// The cluster does not list its pods in time, so they may have lines.
pub fn fall_back_to_pods(
    request: &SourceRequest,
    query: &Query,
    chosen: &ChosenSource,
) -> Result<Option<ChosenSource>, pods::Error> {
    let Some(namespaces_filter) = namespace_filter(request).filter(|_| chosen.can_fall_back) else {
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
    candidates.retain(|(_, lines)| chosen.source.has_match(lines) == Some(false));
    if candidates.is_empty() {
        return Ok(None);
    }
    let pods = match PodsSource::within(request.cluster.clone(), scope(request, query), FALLBACK_TIMEOUT) {
        Ok(pods) => pods,
        Err(late @ pods::Error::Cluster(kubernetes::Error::Timeout(_))) => return Err(late),
        // Without a cluster, there are no pods.
        Err(_) => return Ok(None),
    };
    let has_lines = |lines: &Filter| {
        let mut containers = pods.containers().iter();
        containers.any(|container| {
            !matches!(container.logs, pods::AvailableLogs::Pending(_)) && container.may_match(lines)
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
        ..ChosenSource::new(pods)
    }))
}

/// Lines of the requested namespaces.
fn namespace_filter(request: &SourceRequest) -> Option<Filter> {
    let names = &request.namespaces;
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
