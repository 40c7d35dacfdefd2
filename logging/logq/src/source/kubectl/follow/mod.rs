//! The lines of pods as they come.
//!
//! What is there is read first, and then one kubectl follows each container
//! from where it was read to, by the clock of its own node. Pods are listed
//! again and again: those that are new, and containers that were started
//! again, are followed from their beginning.

mod reader;
mod told;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use line::Place;

use self::{reader::Reader, told::Told};
use super::{Container, Error, Kubectl, LIST_PATIENCE, Marks, State, listed, locked, stream::Now};
use crate::{
    cli::Search,
    filter::Filter,
    follow::{Feed, Past, Sink, Stop},
    plan::{Known, Wanted},
    search::{Context, SearchError, There, so_far, unknown_uses},
    source::SourceError,
};

/// Between two lists of the pods: so late a new pod's lines may come.
const PAUSE: Duration = Duration::from_secs(2);

/// So many containers are followed at most: each is a kubectl of its own.
const MOST: usize = 50;

/// One that breaks off is not begun again before this has passed.
const RETRY: Duration = Duration::from_secs(5);

/// So often it is seen whether it is over while pods are listed.
const LOOK: Duration = Duration::from_millis(50);

/// So many lines are given at a time.
const BATCH: usize = 1_000;

/// Lines of pods, as they come.
pub struct Follower {
    pods: Kubectl,
    wanted: Wanted,
    past: Past,
    context: Context,
    known: Known,
    marks: Marks,
    followed: HashMap<Place, Followed>,
    told: Told,
    /// Whether the pods could not be listed lately.
    blind: bool,
}

/// A container that is followed, or was.
struct Followed {
    now: Now,
    ended: Arc<AtomicBool>,
    /// The start that was the newest.
    newest: String,
    begun: Instant,
}

impl Followed {
    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.now.end();
    }
}

impl Follower {
    /// Reads nothing yet.
    #[must_use]
    pub fn new(pods: Kubectl, wanted: Wanted, search: &Search) -> Self {
        Self {
            pods,
            wanted,
            past: Past::of(search),
            context: Context::of(&search.show),
            known: Known::default(),
            marks: Marks::default(),
            followed: HashMap::new(),
            told: Told::default(),
            blind: false,
        }
    }

    /// The lines that are given, by what is known.
    fn filter(&self) -> Filter {
        let filter = if self.context.is_wanted() {
            self.wanted.scope(&self.known)
        } else {
            self.wanted.filter(&self.known)
        };
        if self.wanted.photos.is_empty() {
            return filter;
        }
        // Which traces are the photo's is learnt from its lines, and what
        // else belongs to them was written before.
        let reach = Filter::All(vec![self.wanted.span.filter(), self.wanted.way()]);
        Filter::Any(vec![self.wanted.scope(&self.known), reach])
    }

    /// What is there already.
    fn begin(&mut self, sink: &Sink) -> Result<(), Stop> {
        if self.wanted.depends() {
            self.known = self.pods.known(&self.wanted);
            sink.learnt(self.known.clone())?;
            if let Some(note) = unknown_uses(&self.wanted, &self.known) {
                sink.note(note)?;
            }
        }
        self.few()?;
        let lines = self.pods.marked(&self.filter(), &self.marks);
        let mut batch = Vec::new();
        for line in lines {
            match line {
                // They are read all the same, for it is known then how far.
                Ok(_) if self.past == Past::Last(0) => {}
                Ok(entry) => batch.push(entry),
                Err(error) => self.told.tell(error.to_string(), sink)?,
            }
            if batch.len() >= BATCH {
                sink.earlier(std::mem::take(&mut batch))?;
            }
        }
        sink.earlier(batch)?;
        sink.caught_up()?;
        let (notes, missing) = self.pods.told();
        let so_far = so_far(&self.wanted, There::Pods(&self.pods));
        for note in notes.into_iter().chain(missing).chain(so_far) {
            self.told.tell(note, sink)?;
        }
        Ok(())
    }

    /// Refuses to start a program for each of very many containers.
    fn few(&self) -> Result<(), Stop> {
        let filter = self.filter();
        let containers = self.pods.containers.iter();
        let many = containers
            .filter(|container| container.may_match(&filter))
            .count();
        if many > MOST {
            let error = Error::TooMany { many, most: MOST };
            return Err(Stop::Failed(SearchError::Source(SourceError::Kubectl(error))));
        }
        Ok(())
    }

    /// Follows what is not followed yet.
    fn start(&mut self, sink: &Sink) -> Result<(), Stop> {
        let filter = self.filter();
        let here: HashSet<&Place> = self.pods.containers.iter().map(|one| &one.place).collect();
        // One that is still read has more to say.
        self.followed
            .retain(|place, followed| here.contains(place) || !followed.has_ended());
        for container in &self.pods.containers {
            if !container.may_match(&filter) || !self.has_more(container) {
                continue;
            }
            let live = self.followed.values().filter(|followed| !followed.has_ended());
            if live.count() >= MOST {
                let name = container.name();
                let text = format!("{name} is not followed: {MOST} containers are already");
                self.told.tell(text, sink)?;
                continue;
            }
            let followed = Followed {
                now: Now::default(),
                ended: Arc::default(),
                newest: container.newest.clone(),
                begun: Instant::now(),
            };
            let reader = Reader {
                program: self.pods.program.clone(),
                container: container.clone(),
                filter: filter.clone(),
                marks: self.marks.clone(),
                now: followed.now.clone(),
                ended: Arc::clone(&followed.ended),
                told: self.told.clone(),
                sink: sink.clone(),
            };
            thread::spawn(move || reader.run());
            self.followed.insert(container.place.clone(), followed);
        }
        Ok(())
    }

    /// Whether a container that is not read now can have lines that were not
    /// read.
    fn has_more(&self, container: &Container) -> bool {
        if matches!(container.state, State::Waiting(_)) {
            return false;
        }
        match self.followed.get(&container.place) {
            Some(before) if !before.has_ended() => false,
            Some(before) if before.newest == container.newest => {
                container.runs && before.begun.elapsed() >= RETRY
            }
            Some(_) => true,
            None => container.runs || !locked(&self.marks).contains_key(&container.place),
        }
    }

    /// Sees which pods there are now.
    fn look(&mut self, sink: &Sink) -> Result<(), Stop> {
        let (done, result) = mpsc::channel();
        let (program, scope) = (self.pods.program.clone(), self.pods.scope.clone());
        thread::spawn(move || {
            // Who does not wait any more needs nothing.
            let _ = done.send(listed(&program, &scope, LIST_PATIENCE));
        });
        let listed = loop {
            match result.recv_timeout(LOOK) {
                Ok(listed) => break listed,
                Err(_) if sink.is_over() => return Err(Stop::Over),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        };
        match listed {
            Ok((containers, _)) => self.pods.containers = containers,
            Err(error) => {
                self.blind = true;
                return self.told.tell(format!("new pods are not seen: {error}"), sink);
            }
        }
        if std::mem::take(&mut self.blind) {
            sink.note("the pods can be listed again")?;
        }
        if !self.wanted.depends() {
            return Ok(());
        }
        let mut more = Known::default();
        for container in &self.pods.containers {
            more.learn(&self.wanted, &container.known);
        }
        if self.known.join(more.clone()) {
            sink.learnt(more)?;
        }
        Ok(())
    }
}

impl Feed for Follower {
    fn follow(mut self: Box<Self>, sink: &Sink) -> Result<(), Stop> {
        self.begin(sink)?;
        loop {
            self.start(sink)?;
            sink.wait(PAUSE)?;
            self.look(sink)?;
        }
    }
}
