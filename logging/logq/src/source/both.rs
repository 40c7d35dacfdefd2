//! OpenSearch and pods as one, each line once.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    io::{self, Write},
};

use line::Time;

use super::{
    Entry, Order, SourceError,
    kubectl::Kubectl,
    merge::{Merged, Timed},
    opensearch::Store,
};
use crate::{
    filter::Filter,
    plan::{Known, Wanted},
};

/// Both sources, as far as they answer.
pub struct Both {
    store: Option<Store>,
    pods: Option<Kubectl>,
    /// Why one of them does not answer.
    errors: RefCell<Vec<String>>,
    /// Lines that only one of them had, when all have been given.
    only: Cell<Option<[usize; 2]>>,
}

/// Where a line is from.
#[derive(Clone, Copy)]
enum Side {
    OpenSearch,
    Pods,
}

impl Both {
    /// Puts them together; `missing` is why one of them is not there.
    #[must_use]
    pub fn new(store: Option<Store>, pods: Option<Kubectl>, missing: Option<SourceError>) -> Self {
        let errors = missing.map(|error| error.to_string());
        Self {
            store,
            pods,
            errors: RefCell::new(errors.into_iter().collect()),
            only: Cell::new(None),
        }
    }

    /// OpenSearch, if it answers.
    #[must_use]
    pub const fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// The pods, if they can be asked.
    #[must_use]
    pub const fn pods(&self) -> Option<&Kubectl> {
        self.pods.as_ref()
    }

    /// What either knows.
    #[must_use]
    pub fn known(&self, wanted: &Wanted) -> Known {
        let mut known = Known::default();
        if let Some(pods) = &self.pods {
            known = pods.known(wanted);
        }
        if let Some(store) = &self.store {
            match store.known(wanted) {
                Ok(more) => {
                    known.used.extend(more.used);
                    known.traces.extend(more.traces);
                }
                Err(error) => self.errors.borrow_mut().push(error.to_string()),
            }
        }
        known
    }

    /// The lines that a filter wants, by their times; as OpenSearch has them
    /// where both have them, which is more.
    pub fn lines(&self, filter: &Filter) -> impl Iterator<Item = Result<Entry, SourceError>> + '_ {
        let mut sides: Vec<Box<dyn Iterator<Item = Result<Sided, SourceError>> + '_>> = Vec::new();
        if let Some(store) = &self.store {
            let lines = store.lines(filter, Order::Forward);
            sides.push(Box::new(lines.map(|line| Ok(Sided(Side::OpenSearch, line?)))));
        }
        if let Some(pods) = &self.pods {
            let lines = pods.lines(filter);
            sides.push(Box::new(lines.map(|line| Ok(Sided(Side::Pods, line?)))));
        }
        let counts = sides.len() == 2;
        Once {
            lines: Merged::new(sides),
            waiting: [HashSet::new(), HashSet::new()],
            whole: counts,
            only: &self.only,
        }
    }

    /// What a person should know, and what is missing, since the last time.
    pub fn told(&self) -> (Vec<String>, Vec<String>) {
        let (mut notes, mut errors) = self.pods.as_ref().map(Kubectl::told).unwrap_or_default();
        errors.extend(self.errors.take());
        if let Some(store) = &self.store {
            notes.extend(store.client().notes());
        }
        if let Some([opensearch, pods]) = self.only.take()
            && opensearch + pods > 0
        {
            notes.push(format!(
                "{opensearch} lines only in OpenSearch, {pods} only in the pods"
            ));
        }
        (notes, errors)
    }

    /// Writes what would be asked.
    ///
    /// # Errors
    /// The output's.
    pub fn explain(&self, filter: &Filter, out: &mut dyn Write) -> io::Result<()> {
        if let Some(store) = &self.store {
            store.explain(filter, out)?;
        }
        if let Some(pods) = &self.pods {
            pods.explain(filter, out)?;
        }
        Ok(())
    }
}

struct Sided(Side, Entry);

impl Timed for Sided {
    fn time(&self) -> Option<Time> {
        self.1.time()
    }
}

/// Each line once.
struct Once<'b, L> {
    lines: L,
    /// The lines of each side that the other has not given yet: the two come
    /// by time, so that they are few where both have the same.
    waiting: [HashSet<u128>; 2],
    /// Whether both have given all of theirs so far.
    whole: bool,
    only: &'b Cell<Option<[usize; 2]>>,
}

impl<L: Iterator<Item = Result<Sided, SourceError>>> Iterator for Once<'_, L> {
    type Item = Result<Entry, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(line) = self.lines.next() else {
                let [opensearch, pods] = &self.waiting;
                self.only
                    .set(self.whole.then_some([opensearch.len(), pods.len()]));
                return None;
            };
            let Sided(side, entry) = match line {
                Ok(line) => line,
                Err(error) => {
                    self.whole = false;
                    return Some(Err(error));
                }
            };
            let [opensearch, pods] = &mut self.waiting;
            let (own, other) = match side {
                Side::OpenSearch => (opensearch, pods),
                Side::Pods => (pods, opensearch),
            };
            // A line without an id is known by nobody.
            let Some(id) = entry.document.id().and_then(short) else {
                return Some(Ok(entry));
            };
            if other.remove(&id) {
                continue;
            }
            if own.insert(id) {
                return Some(Ok(entry));
            }
        }
    }
}

/// Half of an id: as good to tell lines apart, and half as large.
fn short(id: &str) -> Option<u128> {
    u128::from_str_radix(id.get(..32)?, 16).ok()
}
