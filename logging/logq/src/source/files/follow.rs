//! Lines of files as they are added, and of a pipe.

use std::{
    collections::{HashSet, VecDeque},
    path::PathBuf,
    time::Duration,
};

use super::{
    FileError, known, open,
    tail::{Start, Tail},
};
use crate::{
    cli::Search,
    follow::{Feed, Past, Sink, Stop},
    plan::{Known, Wanted},
    search::{Context, There, so_far, unknown_uses},
    source::Entry,
};

/// So long it is waited for lines before it is seen whether it is over.
const WAIT: Duration = Duration::from_millis(200);

/// So many lines are given at a time.
const BATCH: usize = 1_000;

/// Lines of a pipe: all of them come while one looks.
pub struct Piped {
    paths: Vec<PathBuf>,
    wanted: Wanted,
}

/// Lines of files that grow.
pub struct Grown {
    paths: Vec<PathBuf>,
    wanted: Wanted,
    past: Past,
    context: Context,
}

/// The feed of these files.
#[must_use]
pub fn follow(search: &Search, wanted: &Wanted) -> Box<dyn Feed> {
    let paths = search.files.clone();
    let wanted = wanted.clone();
    if paths.iter().all(|path| path.as_os_str() == "-") {
        return Box::new(Piped { paths, wanted });
    }
    Box::new(Grown {
        paths,
        wanted,
        past: Past::of(search),
        context: Context::of(&search.show),
    })
}

impl Feed for Piped {
    fn follow(self: Box<Self>, sink: &Sink) -> Result<(), Stop> {
        sink.caught_up()?;
        for entry in open(&self.paths, &self.wanted.reach())? {
            sink.lines(vec![entry?])?;
        }
        Ok(())
    }
}

impl Feed for Grown {
    fn follow(self: Box<Self>, sink: &Sink) -> Result<(), Stop> {
        // Whatever is written from here on is given below.
        let mut tail = Tail::open(&self.paths, Start::End)?;
        let mut given = self.earlier(sink)?;
        sink.caught_up()?;
        for note in so_far(&self.wanted, There::Files(&self.paths)) {
            sink.note(note)?;
        }
        loop {
            let entries = tail.poll(WAIT);
            for trouble in tail.troubles() {
                sink.note(trouble.to_string())?;
            }
            if entries.is_empty() {
                // What was written while it read what was there is behind it.
                given = Given::default();
                sink.wait(Duration::ZERO)?;
            } else {
                let new = entries.into_iter().filter(|entry| !given.has(entry));
                sink.lines(new.collect())?;
            }
        }
    }
}

impl Grown {
    /// Gives what is there.
    fn earlier(&self, sink: &Sink) -> Result<Given, Stop> {
        let known = self.known(sink)?;
        let mut given = Given::default();
        if self.past == Past::Last(0) {
            return Ok(given);
        }
        let least = if self.context.is_wanted() {
            self.wanted.scope(&known)
        } else {
            self.wanted.filter(&known)
        };
        let entries = match open(&self.paths, &least) {
            // A folder may still be empty.
            Err(FileError::Empty(_)) => return Ok(given),
            entries => entries?,
        };
        let mut batch = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) => {
                    given.add(&entry);
                    batch.push(entry);
                }
                Err(error) => sink.note(error.to_string())?,
            }
            if batch.len() >= BATCH {
                sink.earlier(std::mem::take(&mut batch))?;
            }
        }
        sink.earlier(batch)?;
        Ok(given)
    }

    fn known(&self, sink: &Sink) -> Result<Known, Stop> {
        if !self.wanted.depends() {
            return Ok(Known::default());
        }
        let known = match known(&self.paths, &self.wanted) {
            Err(FileError::Empty(_)) => Known::default(),
            known => known?,
        };
        sink.learnt(known.clone())?;
        if let Some(note) = unknown_uses(&self.wanted, &known) {
            sink.note(note)?;
        }
        Ok(known)
    }
}

/// The ids of the last lines that were there: what was written while they
/// were read comes a second time.
#[derive(Default)]
struct Given {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Given {
    /// So many are known at most.
    const MOST: usize = 100_000;

    fn add(&mut self, entry: &Entry) {
        let Some(id) = entry.document.id() else { return };
        if self.ids.insert(id.to_owned()) {
            self.order.push_back(id.to_owned());
        }
        if self.order.len() > Self::MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }

    fn has(&self, entry: &Entry) -> bool {
        entry.document.id().is_some_and(|id| self.ids.contains(id))
    }
}
