//! Pods, asked with kubectl: where there is no OpenSearch.
//!
//! kubectl gives a container's newest file of lines and, where it was started
//! again, that of the start before. What was rotated away, what a deleted pod
//! has written and what is on a node that is gone, it does not know. It does
//! not tell standard output from standard error.

mod error;
mod follow;
mod pods;
mod program;
mod sift;
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

use self::program::LIST_PATIENCE;

pub(crate) use self::error::words;
pub use self::{
    error::{Error, Problem},
    follow::Follower,
    pods::{Container, State},
    program::{Asked, Program, Scope},
    sift::Mark,
    stream::Stream,
};
use self::{spool::Spool, stream::Limit};
use super::{Entry, merge::Merged};
use crate::{
    filter::{Comparison, Filter},
    plan::{Known, Wanted},
};

/// So many kubectls run at once.
pub const AT_ONCE: usize = 8;

/// A line's own time may lie so far after that of the runtime, by which
/// kubectl leaves out what is older, in nanoseconds.
const SLACK: i64 = 60_000_000_000;

/// How far each container has been read.
type Marks = Arc<Mutex<HashMap<Place, Mark>>>;

/// The pods of a cluster, as they were when this was made.
pub struct Kubectl {
    program: Program,
    scope: Scope,
    containers: Vec<Container>,
    /// What was missing when something had to be found out.
    missing: Mutex<Vec<String>>,
    /// What a person should know.
    notes: Mutex<BTreeSet<String>>,
}

impl Kubectl {
    /// Lists the pods.
    ///
    /// # Errors
    /// [`Error`].
    pub fn new(program: Program, scope: Scope) -> Result<Self, Error> {
        Self::within(program, scope, LIST_PATIENCE)
    }

    /// The same; each list may take so much time.
    ///
    /// # Errors
    /// [`Error`].
    pub fn within(program: Program, scope: Scope, patience: Duration) -> Result<Self, Error> {
        let (containers, strange) = listed(&program, &scope, patience)?;
        let note = (strange > 0).then(|| {
            format!("{strange} of what kubectl lists has no name or no namespace: no pods, and not asked")
        });
        Ok(Self {
            containers,
            program,
            scope,
            missing: Mutex::default(),
            notes: Mutex::new(note.into_iter().collect()),
        })
    }

    /// The context whose cluster is asked; none where kubectl has none.
    #[must_use]
    pub fn context_name(&self) -> Option<String> {
        self.program.context_name()
    }

    /// The containers, as they were listed.
    #[must_use]
    pub fn containers(&self) -> &[Container] {
        &self.containers
    }

    /// What has to be found out before it is known which lines are wanted:
    /// the pods themselves say what they use.
    #[must_use]
    pub fn known(&self, wanted: &Wanted) -> Known {
        let mut known = Known::default();
        for container in &self.containers {
            known.learn(wanted, &container.known);
        }
        if !wanted.photos.is_empty() {
            for entry in self.lines(&wanted.way()) {
                match entry {
                    Ok(entry) => known.learn(wanted, &entry.document),
                    Err(error) => locked(&self.missing).push(error.to_string()),
                }
            }
        }
        known
    }

    /// The lines that a filter wants, by their times.
    pub fn lines(&self, filter: &Filter) -> impl Iterator<Item = Result<Entry, Error>> + use<> {
        self.marked(filter, &Marks::default())
    }

    /// The same; how far each container has been read is told in `marks`.
    fn marked(&self, filter: &Filter, marks: &Marks) -> impl Iterator<Item = Result<Entry, Error>> + use<> {
        let since = since(filter);
        let asked = self.chosen(filter).map(|container| {
            let calls = self.calls(container, since, None);
            (container.clone(), calls)
        });
        let asked: Vec<_> = asked.collect();
        let live = asked.len() <= AT_ONCE;
        let (streams, spools) = if live {
            let start = |(container, calls)| {
                Stream::start(&self.program, container, calls, filter, marks, Limit::none())
            };
            (asked.into_iter().map(start).collect(), Vec::new())
        } else {
            (Vec::new(), kept(&self.program, asked, filter, marks))
        };
        let streams = streams.into_iter().map(Reader::Live);
        Merged::new(streams.chain(spools.into_iter().map(Reader::Kept)).collect())
    }

    /// Has the lines that a filter wants read by container, a few containers at once: of the newest `most` lines of each
    /// start. A container whose lines are not read when `time` is over ends with [`Problem::Late`].
    pub fn by_container<T: Send>(
        &self,
        filter: &Filter,
        most: usize,
        time: Duration,
        read: impl Fn(&Container, &mut dyn Iterator<Item = Result<Entry, Error>>) -> T + Sync,
    ) -> Vec<T> {
        let limit = Limit::new(time);
        let since = since(filter);
        let containers: Vec<&Container> = self.chosen(filter).collect();
        at_once(containers, &|container: &Container| {
            let calls = self.calls(container, since, Some(most));
            if let Some(error) = limit.over(container) {
                return read(container, &mut std::iter::once(Err(error)));
            }
            let marks = Marks::default();
            let mut stream = Stream::start(&self.program, container.clone(), calls, filter, &marks, limit);
            read(container, &mut stream)
        })
    }

    /// What a person should know of what was asked since the last time, and
    /// what was missing beside the errors among the lines.
    pub fn told(&self) -> (Vec<String>, Vec<String>) {
        let notes = std::mem::take(&mut *locked(&self.notes));
        let missing = std::mem::take(&mut *locked(&self.missing));
        (notes.into_iter().collect(), missing)
    }

    /// Writes the commands.
    ///
    /// # Errors
    /// The output's.
    pub fn explain(&self, filter: &Filter, out: &mut dyn Write) -> io::Result<()> {
        let since = since(filter);
        writeln!(out, "asked of the pods, at most {AT_ONCE} at once:")?;
        let lists = self.program.lists(&self.scope);
        let logs = self
            .chosen(filter)
            .flat_map(|container| self.calls(container, since, None));
        for arguments in lists.into_iter().chain(logs) {
            writeln!(out, "  {}", self.program.shown(&arguments))?;
        }
        writeln!(out, "All of it is tested here, line by line.")
    }

    /// The containers whose lines can match.
    fn chosen(&self, filter: &Filter) -> impl Iterator<Item = &Container> {
        let tells = |name: &str| ![field::LOG_IOSTREAM, field::EVENT_INGESTED].contains(&name);
        if !filter.asks_only(&tells) {
            let note = "kubectl tells neither log.iostream nor event.ingested: no line has them";
            locked(&self.notes).insert(note.to_owned());
        }
        self.containers
            .iter()
            .filter(|container| container.may_match(filter))
            .filter(|container| {
                let State::Waiting(reason) = &container.state else {
                    return true;
                };
                let note = format!(
                    "{} has not started, so it has no lines: {reason}",
                    container.name()
                );
                locked(&self.notes).insert(note);
                false
            })
    }

    /// The calls for a container's lines, the oldest first.
    fn calls(&self, container: &Container, since: Option<Time>, tail: Option<usize>) -> Vec<Vec<OsString>> {
        let mut starts = vec![false];
        if container.state == State::Restarted {
            starts.insert(0, true);
        }
        let call = |previous| {
            let asked = Asked {
                previous,
                since,
                tail,
                follow: false,
            };
            self.program.logs(container, asked)
        };
        starts.into_iter().map(call).collect()
    }
}

/// The containers that there are now, and how many of what is listed are no pods.
fn listed(program: &Program, scope: &Scope, patience: Duration) -> Result<(Vec<Container>, usize), Error> {
    let begun = Instant::now();
    let mut all = (Vec::new(), 0);
    for list in program.lists(scope) {
        let left = patience.saturating_sub(begun.elapsed());
        let list = program.list_within(&list, left).map_err(|error| match error {
            Error::Late(_) => Error::Late(patience),
            error => error,
        })?;
        let (containers, strange) = pods::read(&list)?;
        all.0.extend(containers);
        all.1 += strange;
    }
    Ok(all)
}

/// One container's lines.
enum Reader {
    Live(Stream),
    Kept(Spool),
}

impl Iterator for Reader {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Live(stream) => stream.next(),
            Self::Kept(spool) => spool.next(),
        }
    }
}

/// The lines of many containers, when all of them have been read: by their
/// times they can only be put in order when the first of each is known.
fn kept(
    program: &Program,
    asked: Vec<(Container, Vec<Vec<OsString>>)>,
    filter: &Filter,
    marks: &Marks,
) -> Vec<Spool> {
    let start = |(container, calls): (Container, _)| {
        let stream = Stream::start(program, container.clone(), calls, filter, marks, Limit::none());
        Spool::of(container, stream)
    };
    at_once(asked, &start)
}

/// Does the work for each item in [`AT_ONCE`] threads; the results have no order.
fn at_once<I: Send, T: Send>(items: Vec<I>, work: &(impl Fn(I) -> T + Sync)) -> Vec<T> {
    let queue = Mutex::new(VecDeque::from(items));
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(item) = locked(&queue).pop_front() else {
                        return;
                    };
                    let result = work(item);
                    locked(&done).push(result);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Before which time no line is wanted, by the runtime's clock.
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
    Some(Time::from_nanos(time.nanos().saturating_sub(SLACK).max(0)))
}

/// A word as a shell takes it, harmless for a terminal.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    let word = terminal::escaped(word);
    if !word.is_empty() && word.chars().all(plain) {
        return word;
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
