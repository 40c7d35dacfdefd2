//! OpenSearch and pods combined, without duplicates.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeSet, HashSet},
    io::{self, Write},
};

use log_normalizer::Time;

use super::{
    error::SourceError,
    line_source::{Entries, LineSource},
    merge::Merged,
    opensearch::OpenSearchSource,
    pods::PodsSource,
};
use crate::{
    entry::{Entry, Order, Timed},
    filter::Filter,
    query::{Query, ResolvedContext},
};

/// Both sources, if available.
pub struct CombinedSource {
    store: Option<OpenSearchSource>,
    pods: Option<PodsSource>,
    /// Why a source is incomplete.
    errors: RefCell<Vec<String>>,
    /// Number of lines that only one source had, after the last line.
    unmatched_counts: Cell<Option<[usize; 2]>>,
}

#[derive(Clone, Copy)]
enum Side {
    OpenSearch,
    Pods,
}

impl CombinedSource {
    /// `missing`: why a source is unavailable.
    #[must_use]
    pub fn new(
        store: Option<OpenSearchSource>,
        pods: Option<PodsSource>,
        missing: Option<SourceError>,
    ) -> Self {
        let errors = missing.map(|error| error.to_string());
        Self {
            store,
            pods,
            errors: RefCell::new(errors.into_iter().collect()),
            unmatched_counts: Cell::new(None),
        }
    }

    /// The available sources.
    fn sides(&self) -> impl Iterator<Item = &dyn LineSource> {
        let store = self.store.iter().map(|store| store as &dyn LineSource);
        store.chain(self.pods.iter().map(|pods| pods as &dyn LineSource))
    }
}

impl LineSource for CombinedSource {
    fn resolve(&self, query: &Query) -> Result<ResolvedContext, SourceError> {
        let mut context = ResolvedContext::default();
        for side in self.sides() {
            match side.resolve(query) {
                Ok(more) => {
                    context.merge(more);
                }
                Err(error) => self.errors.borrow_mut().push(error.to_string()),
            }
        }
        Ok(context)
    }

    /// OpenSearch's version of a line wins, because it has more fields.
    fn lines(&self, filter: &Filter, order: Order) -> Result<Entries<'_>, SourceError> {
        let mut sides: Vec<Box<dyn Iterator<Item = Result<SidedEntry, SourceError>> + '_>> = Vec::new();
        if let Some(store) = &self.store {
            let lines = store.lines(filter, order);
            sides.push(Box::new(
                lines.map(|line| Ok(SidedEntry(Side::OpenSearch, line?))),
            ));
        }
        if let Some(pods) = &self.pods {
            let lines = pods.lines(filter);
            sides.push(Box::new(lines.map(|line| Ok(SidedEntry(Side::Pods, line?)))));
        }
        let has_both = sides.len() == 2;
        Ok(Box::new(Deduplicated {
            lines: Merged::new(sides),
            unmatched: [HashSet::new(), HashSet::new()],
            is_complete: has_both,
            unmatched_counts: &self.unmatched_counts,
        }))
    }

    fn explain(&self, filter: &Filter, out: &mut dyn Write) -> io::Result<()> {
        self.sides().try_for_each(|side| side.explain(filter, out))
    }

    fn has_match(&self, filter: &Filter) -> Option<bool> {
        let answers = self.sides().map(|side| side.has_match(filter));
        answers.reduce(|one, other| match (one, other) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        })?
    }

    fn values(&self, filter: &Filter, field: &str) -> BTreeSet<String> {
        self.sides().flat_map(|side| side.values(filter, field)).collect()
    }

    fn take_diagnostics(&self) -> (Vec<String>, Vec<String>) {
        let (mut notes, mut errors) = (Vec::new(), self.errors.take());
        for side in self.sides() {
            let (more_notes, more_errors) = side.take_diagnostics();
            notes.extend(more_notes);
            errors.extend(more_errors);
        }
        if let Some([opensearch, pods]) = self.unmatched_counts.take()
            && opensearch + pods > 0
        {
            notes.push(format!(
                "{opensearch} lines only in OpenSearch, {pods} only in the pods"
            ));
        }
        (notes, errors)
    }
}

struct SidedEntry(Side, Entry);

impl Timed for SidedEntry {
    fn time(&self) -> Option<Time> {
        self.1.time()
    }
}

/// Removes duplicates.
struct Deduplicated<'b, L> {
    lines: L,
    /// Lines of each side that the other has not delivered yet. Few, because both are in time order.
    unmatched: [HashSet<u128>; 2],
    /// Whether both sides are complete so far.
    is_complete: bool,
    unmatched_counts: &'b Cell<Option<[usize; 2]>>,
}

impl<L: Iterator<Item = Result<SidedEntry, SourceError>>> Iterator for Deduplicated<'_, L> {
    type Item = Result<Entry, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(line) = self.lines.next() else {
                let [opensearch, pods] = &self.unmatched;
                self.unmatched_counts
                    .set(self.is_complete.then_some([opensearch.len(), pods.len()]));
                return None;
            };
            let SidedEntry(side, entry) = match line {
                Ok(line) => line,
                Err(error) => {
                    self.is_complete = false;
                    return Some(Err(error));
                }
            };
            let [opensearch, pods] = &mut self.unmatched;
            let (this_side, other_side) = match side {
                Side::OpenSearch => (opensearch, pods),
                Side::Pods => (pods, opensearch),
            };
            // A line without an id cannot be compared.
            let Some(id) = entry.document.id().and_then(half_id) else {
                return Some(Ok(entry));
            };
            if other_side.remove(&id) {
                continue;
            }
            if this_side.insert(id) {
                return Some(Ok(entry));
            }
        }
    }
}

/// Half of an id identifies a line as well, in half the memory.
fn half_id(id: &str) -> Option<u128> {
    u128::from_str_radix(id.get(..32)?, 16).ok()
}
