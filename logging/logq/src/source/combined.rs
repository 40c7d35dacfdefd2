//! OpenSearch and pods combined, without duplicates.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    io::{self, Write},
};

use line::Time;

use super::{
    Entry, Order, SourceError,
    kubectl::KubectlSource,
    merge::{Merged, Timed},
    opensearch::OpenSearchSource,
};
use crate::{
    filter::Filter,
    query::{Query, ResolvedContext},
};

/// Both sources, if available.
pub struct CombinedSource {
    store: Option<OpenSearchSource>,
    pods: Option<KubectlSource>,
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
        pods: Option<KubectlSource>,
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

    #[must_use]
    pub const fn store(&self) -> Option<&OpenSearchSource> {
        self.store.as_ref()
    }

    #[must_use]
    pub const fn pods(&self) -> Option<&KubectlSource> {
        self.pods.as_ref()
    }

    /// The combined knowledge of both.
    #[must_use]
    pub fn resolve(&self, query: &Query) -> ResolvedContext {
        let mut context = ResolvedContext::default();
        if let Some(pods) = &self.pods {
            context = pods.resolve(query);
        }
        if let Some(store) = &self.store {
            match store.resolve(query) {
                Ok(more) => {
                    context.dependencies.extend(more.dependencies);
                    context.traces.extend(more.traces);
                }
                Err(error) => self.errors.borrow_mut().push(error.to_string()),
            }
        }
        context
    }

    /// The matching lines by time. OpenSearch's version of a line wins, because it has more fields.
    pub fn lines(&self, filter: &Filter) -> impl Iterator<Item = Result<Entry, SourceError>> + '_ {
        let mut sides: Vec<Box<dyn Iterator<Item = Result<SidedEntry, SourceError>> + '_>> = Vec::new();
        if let Some(store) = &self.store {
            let lines = store.lines(filter, Order::Forward);
            sides.push(Box::new(
                lines.map(|line| Ok(SidedEntry(Side::OpenSearch, line?))),
            ));
        }
        if let Some(pods) = &self.pods {
            let lines = pods.lines(filter);
            sides.push(Box::new(lines.map(|line| Ok(SidedEntry(Side::Pods, line?)))));
        }
        let has_both = sides.len() == 2;
        Deduplicated {
            lines: Merged::new(sides),
            unmatched: [HashSet::new(), HashSet::new()],
            is_complete: has_both,
            unmatched_counts: &self.unmatched_counts,
        }
    }

    /// Takes notes and errors since the last call.
    pub fn take_diagnostics(&self) -> (Vec<String>, Vec<String>) {
        let (mut notes, mut errors) = self
            .pods
            .as_ref()
            .map(KubectlSource::take_diagnostics)
            .unwrap_or_default();
        errors.extend(self.errors.take());
        if let Some(store) = &self.store {
            notes.extend(store.client().take_notes());
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

    /// Prints the requests.
    ///
    /// # Errors
    /// An I/O error of the output.
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
