//! Reads the lines of pods with kubectl, for clusters without OpenSearch.
//!
//! kubectl returns the newest log file of a container and, after a restart, the newest file of the previous start. It
//! cannot read rotated files, deleted pods or lost nodes, and does not distinguish standard output from standard error.

mod error;
mod follow;
mod line_filter;
mod pods;
mod program;
mod spool;
mod stream;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    ffi::OsString,
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use line::{Place, Time};
use schema::field;

use self::program::LIST_TIMEOUT;

pub(crate) use self::error::last_message;
pub use self::{
    error::{Error, Problem},
    follow::PodsFeed,
    line_filter::ReadPosition,
    pods::{AvailableLogs, Container},
    program::{KubectlProgram, LogOptions, Scope},
    stream::LogStream,
};
use self::{spool::Spool, stream::Deadline};
use super::{Entry, merge::Merged};
use crate::{
    filter::{Comparison, Filter},
    query::{Query, ResolvedContext},
};

/// Maximum number of concurrent kubectl processes.
pub const MAX_CONCURRENT: usize = 8;

/// A line's own time may be this much later than the runtime's time, by which kubectl filters. Nanoseconds.
const CLOCK_SLACK_NANOS: i64 = 60_000_000_000;

/// How far each container was read.
type ReadPositions = Arc<Mutex<HashMap<Place, ReadPosition>>>;

/// The pods of a cluster at the time of listing.
pub struct KubectlSource {
    program: KubectlProgram,
    scope: Scope,
    containers: Vec<Container>,
    /// Errors while resolving the context.
    errors: Mutex<Vec<String>>,
    notes: Mutex<BTreeSet<String>>,
}

impl KubectlSource {
    /// Lists the pods.
    ///
    /// # Errors
    /// [`Error`].
    pub fn new(program: KubectlProgram, scope: Scope) -> Result<Self, Error> {
        Self::within(program, scope, LIST_TIMEOUT)
    }

    /// The same with a timeout for each list.
    ///
    /// # Errors
    /// [`Error`].
    pub fn within(program: KubectlProgram, scope: Scope, timeout: Duration) -> Result<Self, Error> {
        let (containers, skipped) = list_containers(&program, &scope, timeout)?;
        let note = (skipped > 0).then(|| {
            format!("kubectl listed {skipped} items without a name or a namespace, which are skipped")
        });
        Ok(Self {
            containers,
            program,
            scope,
            errors: Mutex::default(),
            notes: Mutex::new(note.into_iter().collect()),
        })
    }

    /// The current context; None if kubectl has none.
    #[must_use]
    pub fn context_name(&self) -> Option<String> {
        self.program.context_name()
    }

    #[must_use]
    pub fn containers(&self) -> &[Container] {
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
        let containers = self.matching_containers(filter).map(|container| {
            let commands = self.commands(container, since, None);
            (container.clone(), commands)
        });
        let containers: Vec<_> = containers.collect();
        let live = containers.len() <= MAX_CONCURRENT;
        let (streams, spools) = if live {
            let start = |(container, commands)| {
                LogStream::start(
                    &self.program,
                    container,
                    commands,
                    filter,
                    positions,
                    Deadline::none(),
                )
            };
            (containers.into_iter().map(start).collect(), Vec::new())
        } else {
            (
                Vec::new(),
                spool_all(&self.program, containers, filter, positions),
            )
        };
        let streams = streams.into_iter().map(ContainerEntries::Live);
        Merged::new(
            streams
                .chain(spools.into_iter().map(ContainerEntries::Spooled))
                .collect(),
        )
    }

    /// Reads the newest `limit` matching lines of each container start, several containers at once. After `time`, the
    /// remaining containers end with [`Problem::Timeout`].
    pub fn read_by_container<T: Send>(
        &self,
        filter: &Filter,
        limit: usize,
        time: Duration,
        read: impl Fn(&Container, &mut dyn Iterator<Item = Result<Entry, Error>>) -> T + Sync,
    ) -> Vec<T> {
        let deadline = Deadline::new(time);
        let since = since(filter);
        let containers: Vec<&Container> = self.matching_containers(filter).collect();
        run_concurrently(containers, &|container: &Container| {
            let commands = self.commands(container, since, Some(limit));
            if let Some(error) = deadline.timeout_error(container) {
                return read(container, &mut std::iter::once(Err(error)));
            }
            let positions = ReadPositions::default();
            let mut stream = LogStream::start(
                &self.program,
                container.clone(),
                commands,
                filter,
                &positions,
                deadline,
            );
            read(container, &mut stream)
        })
    }

    /// Takes the notes, and the errors that are not among the lines, since the last call.
    pub fn take_diagnostics(&self) -> (Vec<String>, Vec<String>) {
        let notes = std::mem::take(&mut *lock(&self.notes));
        let errors = std::mem::take(&mut *lock(&self.errors));
        (notes.into_iter().collect(), errors)
    }

    /// Prints the commands.
    ///
    /// # Errors
    /// An I/O error of the output.
    pub fn explain(&self, filter: &Filter, out: &mut dyn Write) -> io::Result<()> {
        let since = since(filter);
        writeln!(out, "kubectl commands, at most {MAX_CONCURRENT} at a time:")?;
        let lists = self.program.list_commands(&self.scope);
        let logs = self
            .matching_containers(filter)
            .flat_map(|container| self.commands(container, since, None));
        for arguments in lists.into_iter().chain(logs) {
            writeln!(out, "  {}", self.program.command_line(&arguments))?;
        }
        writeln!(out, "logq tests the whole query on each line.")
    }

    /// The containers whose lines may match.
    fn matching_containers(&self, filter: &Filter) -> impl Iterator<Item = &Container> {
        let tells = |name: &str| ![field::LOG_IOSTREAM, field::EVENT_INGESTED].contains(&name);
        if !filter.uses_only(&tells) {
            let note = "lines from kubectl have no log.iostream and no event.ingested";
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

    /// The log commands of a container, oldest lines first.
    fn commands(
        &self,
        container: &Container,
        since: Option<Time>,
        tail: Option<usize>,
    ) -> Vec<Vec<OsString>> {
        let mut starts = vec![false];
        if container.logs == AvailableLogs::CurrentAndPrevious {
            starts.insert(0, true);
        }
        let command = |previous| {
            let options = LogOptions {
                previous,
                since,
                tail,
                follow: false,
            };
            self.program.log_command(container, options)
        };
        starts.into_iter().map(command).collect()
    }
}

/// Lists the containers, and counts list items that are not pods.
fn list_containers(
    program: &KubectlProgram,
    scope: &Scope,
    timeout: Duration,
) -> Result<(Vec<Container>, usize), Error> {
    let started = Instant::now();
    let mut all = (Vec::new(), 0);
    for list in program.list_commands(scope) {
        let left = timeout.saturating_sub(started.elapsed());
        let list = program.run_within(&list, left).map_err(|error| match error {
            Error::Timeout(_) => Error::Timeout(timeout),
            error => error,
        })?;
        let (containers, skipped) = pods::read(&list)?;
        all.0.extend(containers);
        all.1 += skipped;
    }
    Ok(all)
}

enum ContainerEntries {
    Live(LogStream),
    Spooled(Spool),
}

impl Iterator for ContainerEntries {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Live(stream) => stream.next(),
            Self::Spooled(spool) => spool.next(),
        }
    }
}

/// Reads many containers completely. Merging by time needs the first line of each one, but only a few can be read at
/// once.
fn spool_all(
    program: &KubectlProgram,
    containers: Vec<(Container, Vec<Vec<OsString>>)>,
    filter: &Filter,
    positions: &ReadPositions,
) -> Vec<Spool> {
    let start = |(container, commands): (Container, _)| {
        let stream = LogStream::start(
            program,
            container.clone(),
            commands,
            filter,
            positions,
            Deadline::none(),
        );
        Spool::from_stream(container, stream)
    };
    run_concurrently(containers, &start)
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
        _ => return None,
    };
    Some(Time::from_nanos(
        time.nanos().saturating_sub(CLOCK_SLACK_NANOS).max(0),
    ))
}

/// Quotes a word for a shell, without control characters.
fn shell_quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    let word = terminal::escaped(word);
    if !word.is_empty() && word.chars().all(plain) {
        return word;
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
