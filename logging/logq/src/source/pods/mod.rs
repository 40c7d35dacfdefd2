//! Reads the lines of pods from the Kubernetes API, for clusters without OpenSearch.
//!
//! The API returns the newest log file of a container and, after a restart, the newest file of the previous start. It
//! cannot read rotated files, deleted pods or lost nodes, and does not distinguish standard output from standard error.

mod containers;
mod error;
mod follow;
mod line_filter;
mod reader;
mod source;
mod spool;
mod stream;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use log_normalizer::{ContainerRef, Time};
use schema::field;
use tokio::time;
use tokio_util::sync::CancellationToken;

pub use self::{
    containers::{AvailableLogs, LogContainer},
    error::{Error, PodProblem},
    follow::PodsFeed,
    line_filter::ReadPosition,
    stream::LogStream,
};
use self::{reader::ContainerReader, spool::Spool, stream::Deadline};
use super::merge::Merged;
use crate::{
    entry::Entry,
    filter::{Comparison, Filter},
    kubernetes::{self, Cluster, ClusterOptions, LogRequest},
    query::{Query, ResolvedContext},
};

/// Limit for a pod list.
const LIST_TIMEOUT: Duration = Duration::from_secs(60);

/// Maximum number of concurrent log requests.
pub const MAX_CONCURRENT: usize = 8;

/// A line's own time may be this much later than the runtime's time, by which the API filters. Nanoseconds.
const CLOCK_SLACK_NANOS: i64 = 60_000_000_000;

/// How far each container was read.
type ReadPositions = Arc<Mutex<HashMap<ContainerRef, ReadPosition>>>;

/// Which pods to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodScope {
    /// Empty for all namespaces.
    pub namespaces: Vec<String>,
    pub selector: Option<String>,
}

impl PodScope {
    /// The namespaces to request; None for all.
    fn namespaces(&self) -> Vec<Option<&str>> {
        if self.namespaces.is_empty() {
            return vec![None];
        }
        self.namespaces.iter().map(|name| Some(name.as_str())).collect()
    }
}

/// The pods of a cluster at the time of listing.
pub struct PodsSource {
    options: ClusterOptions,
    cluster: Cluster,
    scope: PodScope,
    containers: Vec<LogContainer>,
    /// Errors while resolving the context.
    errors: Mutex<Vec<String>>,
    notes: Mutex<BTreeSet<String>>,
}

impl PodsSource {
    /// Connects to the cluster and lists the pods.
    ///
    /// # Errors
    /// [`Error`].
    pub fn new(options: ClusterOptions, scope: PodScope) -> Result<Self, Error> {
        Self::within(options, scope, LIST_TIMEOUT)
    }

    /// The same with a timeout.
    ///
    /// # Errors
    /// [`Error`].
    pub fn within(options: ClusterOptions, scope: PodScope, timeout: Duration) -> Result<Self, Error> {
        let connect = async {
            let cluster = Cluster::connect(&options).await?;
            let listed = list_containers(&cluster, &scope).await?;
            Ok((cluster, listed))
        };
        let (cluster, (containers, skipped)) = kubernetes::block_on(within(timeout, connect))?;
        let note = (skipped > 0).then(|| {
            format!("the list of pods has {skipped} items without a name or a namespace, which are skipped")
        });
        Ok(Self {
            options,
            cluster,
            scope,
            containers,
            errors: Mutex::default(),
            notes: Mutex::new(note.into_iter().collect()),
        })
    }

    /// The current context; None without one, for example in a pod.
    #[must_use]
    pub fn context_name(&self) -> Option<String> {
        self.options.context_name()
    }

    #[must_use]
    pub fn containers(&self) -> &[LogContainer] {
        &self.containers
    }

    /// Resolves the context. The labels of the pods name the dependencies.
    #[must_use]
    pub fn resolve(&self, query: &Query) -> ResolvedContext {
        let mut context = ResolvedContext::default();
        for container in &self.containers {
            context.learn_from(query, &container.pod_fields);
        }
        if !query.photos.is_empty() {
            for entry in self.lines(&query.photo_journey()) {
                match entry {
                    Ok(entry) => context.learn_from(query, &entry.document),
                    Err(error) => lock(&self.errors).push(error.to_string()),
                }
            }
        }
        context
    }

    /// The matching lines by time.
    pub fn lines(&self, filter: &Filter) -> impl Iterator<Item = Result<Entry, Error>> + use<> {
        self.lines_from(filter, &ReadPositions::default())
    }

    /// The same; records how far each container was read.
    fn lines_from(
        &self,
        filter: &Filter,
        positions: &ReadPositions,
    ) -> impl Iterator<Item = Result<Entry, Error>> + use<> {
        let since = since(filter);
        let containers: Vec<_> = self
            .matching_containers(filter)
            .map(|container| {
                let reader = self.reader(container, filter, positions, &CancellationToken::new());
                (reader, log_requests(container, since, None))
            })
            .collect();
        let start = |(reader, requests)| LogStream::start(reader, requests, Deadline::none());
        let lines: Vec<Box<dyn Iterator<Item = Result<Entry, Error>>>> = if containers.len() <= MAX_CONCURRENT
        {
            let streams = containers.into_iter().map(start);
            streams.map(|stream| Box::new(stream) as Box<_>).collect()
        } else {
            // Merging by time needs the first line of each container, but only a few can be read at once.
            let spools = run_concurrently(containers, &|(reader, requests): (ContainerReader, _)| {
                Spool::from_stream(reader.container.clone(), start((reader, requests)))
            });
            spools
                .into_iter()
                .map(|spool| Box::new(spool) as Box<_>)
                .collect()
        };
        Merged::new(lines)
    }

    fn reader(
        &self,
        container: &LogContainer,
        filter: &Filter,
        positions: &ReadPositions,
        cancellation: &CancellationToken,
    ) -> ContainerReader {
        ContainerReader {
            cluster: self.cluster.clone(),
            container: container.clone(),
            filter: filter.clone(),
            positions: positions.clone(),
            cancellation: cancellation.clone(),
            first_line: None,
        }
    }

    /// Reads the newest `limit` matching lines of each container start, several containers at once. After `time`, the
    /// remaining containers end with [`PodProblem::Timeout`].
    pub fn read_by_container<T: Send>(
        &self,
        filter: &Filter,
        limit: usize,
        time: Duration,
        read: impl Fn(&LogContainer, &mut dyn Iterator<Item = Result<Entry, Error>>) -> T + Sync,
    ) -> Vec<T> {
        let deadline = Deadline::new(time);
        let since = since(filter);
        let containers: Vec<&LogContainer> = self.matching_containers(filter).collect();
        run_concurrently(containers, &|container: &LogContainer| {
            if let Some(error) = deadline.timeout_error(container) {
                return read(container, &mut std::iter::once(Err(error)));
            }
            let requests = log_requests(container, since, Some(limit));
            let reader = self.reader(
                container,
                filter,
                &ReadPositions::default(),
                &CancellationToken::new(),
            );
            let mut stream = LogStream::start(reader, requests, deadline);
            read(container, &mut stream)
        })
    }

    /// Takes the notes, and the errors that are not among the lines, since the last call.
    pub fn take_diagnostics(&self) -> (Vec<String>, Vec<String>) {
        let notes = std::mem::take(&mut *lock(&self.notes));
        let errors = std::mem::take(&mut *lock(&self.errors));
        (notes.into_iter().collect(), errors)
    }

    /// Prints the requests.
    ///
    /// # Errors
    /// An I/O error of the output.
    pub fn explain(&self, filter: &Filter, out: &mut dyn Write) -> io::Result<()> {
        let since = since(filter);
        writeln!(out, "requests to Kubernetes, at most {MAX_CONCURRENT} at a time:")?;
        let selector = self.scope.selector.as_deref();
        let namespaces = self.scope.namespaces().into_iter();
        let lists = namespaces.map(|namespace| Cluster::list_path(namespace, selector));
        let logs = self
            .matching_containers(filter)
            .flat_map(|container| log_requests(container, since, None))
            .map(|request| request.path());
        for path in lists.chain(logs) {
            writeln!(out, "  GET {}", terminal::escaped(&path))?;
        }
        writeln!(out, "logq tests the whole query on each line.")
    }

    /// The containers whose lines may match.
    fn matching_containers(&self, filter: &Filter) -> impl Iterator<Item = &LogContainer> {
        let tells = |name: &str| ![field::LOG_IOSTREAM, field::EVENT_INGESTED].contains(&name);
        if !filter.uses_only(&tells) {
            let note = "lines of pods have no log.iostream and no event.ingested";
            lock(&self.notes).insert(note.to_owned());
        }
        self.containers
            .iter()
            .filter(|container| container.may_match(filter))
            .filter(|container| {
                let AvailableLogs::Pending(reason) = &container.logs else {
                    return true;
                };
                let note = format!("{} has not started and has no lines: {reason}", container.name());
                lock(&self.notes).insert(note);
                false
            })
    }
}

/// The log requests of a container, oldest lines first.
fn log_requests(container: &LogContainer, since: Option<Time>, tail: Option<usize>) -> Vec<LogRequest> {
    let request = |previous| LogRequest {
        container: container.place.clone(),
        previous,
        since,
        tail,
        follow: false,
    };
    match container.logs {
        AvailableLogs::CurrentAndPrevious => vec![request(true), request(false)],
        _ => vec![request(false)],
    }
}

/// Lists the containers, and counts list items that are not pods.
async fn list_containers(cluster: &Cluster, scope: &PodScope) -> Result<(Vec<LogContainer>, usize), Error> {
    let mut all = (Vec::new(), 0);
    for namespace in scope.namespaces() {
        for page in cluster.list_pods(namespace, scope.selector.as_deref()).await? {
            let (containers, skipped) = containers::read(&page)?;
            all.0.extend(containers);
            all.1 += skipped;
        }
    }
    Ok(all)
}

/// Limits the time of a request.
async fn within<T>(timeout: Duration, request: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let done = time::timeout(timeout, request).await;
    done.unwrap_or_else(|_| Err(kubernetes::Error::Timeout(timeout).into()))
}

/// Runs the work in [`MAX_CONCURRENT`] threads; the results are unordered.
fn run_concurrently<I: Send, T: Send>(items: Vec<I>, work: &(impl Fn(I) -> T + Sync)) -> Vec<T> {
    let queue = Mutex::new(VecDeque::from(items));
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..MAX_CONCURRENT {
            scope.spawn(|| {
                loop {
                    let Some(item) = lock(&queue).pop_front() else {
                        return;
                    };
                    let result = work(item);
                    lock(&done).push(result);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The start time that the filter requires, by the runtime's clock.
fn since(filter: &Filter) -> Option<Time> {
    let time = match filter {
        Filter::Compare(name, Comparison::AtLeast | Comparison::Greater, value)
            if name == field::TIMESTAMP =>
        {
            value.time()?
        }
        Filter::All(parts) => return parts.iter().filter_map(since).max(),
        Filter::Counting(filter, _) => return since(filter),
        _ => return None,
    };
    Some(Time::from_nanos(
        time.nanos().saturating_sub(CLOCK_SLACK_NANOS).max(0),
    ))
}
