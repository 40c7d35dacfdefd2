//! The lines of pods as they come.
//!
//! What is there is read first, and then one kubectl follows each container
//! from where it was read to, by the clock of its own node. Pods are listed
//! again and again: those that are new, and containers that were started
//! again, are followed from their beginning.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use line::Place;

use super::{
    Asked, Container, Error, Kubectl, Marks, Problem, State, listed, locked,
    program::Program,
    sift::Sifter,
    stream::{Now, blocks, mark},
};
use crate::{
    cli::Search,
    filter::Filter,
    follow::{Feed, Past, Sink, Stop},
    plan::{Known, Wanted},
    search::{Context, SearchError, There, so_far, unknown_uses},
    source::{Entry, SourceError},
};

/// Between two lists of the pods: so late a new pod's lines may come.
const PAUSE: Duration = Duration::from_secs(2);

/// So many containers are followed at most: each is a kubectl of its own.
const MOST: usize = 50;

/// So many lines are given at a time.
const BATCH: usize = 1_000;

/// Blocks that are read before their lines are needed.
const AHEAD: usize = 2;

/// What is still wrong is told again after this.
const AGAIN: Duration = Duration::from_secs(60);

/// One that breaks off is not begun again before this has passed.
const RETRY: Duration = Duration::from_secs(5);

/// So often it is seen whether it is over while pods are listed.
const LOOK: Duration = Duration::from_millis(50);

/// Where nothing is held, how long nothing need come.
const LONG: Duration = Duration::from_secs(3600);

/// Lines of pods, as they come.
pub struct Follower {
    pods: Kubectl,
    wanted: Wanted,
    past: Past,
    /// Lines around others are wanted: so many before.
    around: Option<usize>,
    known: Known,
    marks: Marks,
    followed: HashMap<Place, Followed>,
    told: Told,
    /// Whether the pods could not be listed lately.
    blind: bool,
}

/// What was told, and when.
#[derive(Clone, Debug, Default)]
struct Told(Arc<Mutex<HashMap<String, Instant>>>);

impl Told {
    /// Says it, unless it was said just now.
    fn tell(&self, text: String, sink: &Sink) -> Result<(), Stop> {
        let now = Instant::now();
        let before = locked(&self.0).insert(text.clone(), now);
        if before.is_some_and(|before| now.duration_since(before) < AGAIN) {
            return Ok(());
        }
        sink.note(text)
    }
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
        let context = Context::of(&search.show);
        Self {
            pods,
            wanted,
            past: Past::of(search),
            around: context.is_wanted().then(|| context.before()),
            known: Known::default(),
            marks: Marks::default(),
            followed: HashMap::new(),
            told: Told::default(),
            blind: false,
        }
    }

    /// The lines that are given, by what is known.
    fn filter(&self) -> Filter {
        let filter = if self.around.is_some() {
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
        let mut last = match self.past {
            Past::All => None,
            Past::Last(most) => Some(Last::new(most, self.around.unwrap_or(0))),
        };
        let wanted = self.wanted.filter(&self.known);
        let mut batch = Vec::new();
        for line in lines {
            match (line, &mut last) {
                (Ok(entry), Some(last)) => {
                    let found = wanted.matches(&entry.document);
                    last.push(entry, found);
                }
                (Ok(entry), None) => batch.push(entry),
                (Err(error), _) => self.told.tell(error.to_string(), sink)?,
            }
            if batch.len() >= BATCH {
                sink.earlier(std::mem::take(&mut batch))?;
            }
        }
        batch.extend(last.into_iter().flat_map(Last::into_entries));
        sink.earlier(batch)?;
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
            let _ = done.send(listed(&program, &scope));
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

/// The last lines, with those before them.
struct Last {
    most: usize,
    before: usize,
    found: usize,
    lines: VecDeque<(Entry, bool)>,
}

impl Last {
    const fn new(most: usize, before: usize) -> Self {
        Self {
            most,
            before,
            found: 0,
            lines: VecDeque::new(),
        }
    }

    fn push(&mut self, entry: Entry, found: bool) {
        self.lines.push_back((entry, found));
        self.found += usize::from(found);
        while self.found > self.most {
            let first = self.lines.pop_front();
            self.found -= usize::from(first.is_some_and(|(_, found)| found));
        }
        // Of those before the first that was found only the nearest count.
        let mut leading = self.lines.iter().take(self.before + 1);
        if self.lines.len() > self.before && leading.all(|(_, found)| !found) {
            self.lines.pop_front();
        }
    }

    fn into_entries(self) -> impl Iterator<Item = Entry> {
        self.lines.into_iter().map(|(entry, _)| entry)
    }
}

/// What follows one container, in a thread of its own.
struct Reader {
    program: Program,
    container: Container,
    filter: Filter,
    marks: Marks,
    now: Now,
    ended: Arc<AtomicBool>,
    told: Told,
    sink: Sink,
}

impl Reader {
    fn run(self) {
        let known = locked(&self.marks).contains_key(&self.container.place);
        // What was written before the container was started again.
        if known && self.container.state == State::Restarted {
            let _ = self.call(true);
        }
        let _ = self.call(false);
        self.ended.store(true, Ordering::Release);
    }

    fn call(&self, previous: bool) -> Result<(), Stop> {
        let past = locked(&self.marks).get(&self.container.place).cloned();
        let past = past.unwrap_or_default();
        let asked = Asked {
            previous,
            since: past.time,
            follow: !previous,
        };
        let arguments = self.program.logs(&self.container, asked);
        let (running, output) = match self.program.run(&arguments) {
            Ok(begun) => begun,
            Err(error) => return self.told.tell(error.to_string(), &self.sink),
        };
        if !self.now.set(running.ender()) {
            return Err(Stop::Over);
        }
        let mut sifter = Sifter::new(&self.container, &self.filter, past);
        let given = self.give(output, &mut sifter);
        mark(&self.marks, &self.container, &sifter);
        given?;
        let words = sifter.words().map(Problem::Unread);
        let said = running.end().unwrap_or_else(|error| Some(error.to_string()));
        let problem = words.or_else(|| said.map(|said| Problem::read(&said)));
        match problem {
            // It is gone: its lines have been given.
            None | Some(Problem::Gone) => Ok(()),
            Some(_) if self.sink.is_over() => Err(Stop::Over),
            Some(problem) => {
                let text = Error::logs(&self.container, problem).to_string();
                self.told.tell(text, &self.sink)
            }
        }
    }

    /// Gives what comes until nothing more does.
    fn give(&self, output: std::process::ChildStdout, sifter: &mut Sifter) -> Result<(), Stop> {
        let (sender, read) = mpsc::sync_channel(AHEAD);
        thread::spawn(move || {
            let mut blocks = blocks(output);
            while let Ok(Some(block)) = blocks.next() {
                if sender.send(block).is_err() {
                    return;
                }
            }
        });
        let begun = Instant::now();
        loop {
            let wait = sifter
                .due()
                .map_or(LONG, |due| due.saturating_sub(begun.elapsed()));
            let mut entries = Vec::new();
            match read.recv_timeout(wait) {
                Ok(block) => sifter.take(block.bytes(), begun.elapsed(), &mut entries),
                Err(RecvTimeoutError::Timeout) => sifter.expire(begun.elapsed(), &mut entries),
                Err(RecvTimeoutError::Disconnected) => {
                    sifter.flush(&mut entries);
                    return self.send(entries);
                }
            }
            self.send(entries)?;
        }
    }

    fn send(&self, mut entries: Vec<Entry>) -> Result<(), Stop> {
        while !entries.is_empty() {
            let rest = entries.split_off(entries.len().min(BATCH));
            self.sink.lines(std::mem::replace(&mut entries, rest))?;
        }
        Ok(())
    }
}
