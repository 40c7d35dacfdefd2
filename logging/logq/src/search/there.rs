//! What there is, asked of who holds the lines.

use std::{collections::BTreeSet, path::PathBuf};

use line::Document;

use crate::{
    filter::{Filter, push},
    source::{Source, files, kubectl::Kubectl, opensearch::Store},
};

/// Of files so many lines say which values there are.
const SAMPLE: usize = 20_000;

/// Who holds the lines.
#[derive(Clone, Copy)]
pub enum There<'t> {
    /// OpenSearch.
    Store(&'t Store),
    /// Pods. They are not asked for lines again: what is known of the pods says enough.
    Pods(&'t Kubectl),
    /// Both, as far as they answer.
    Both(Option<&'t Store>, Option<&'t Kubectl>),
    /// Files; not a pipe, which is read once.
    Files(&'t [PathBuf]),
}

impl<'t> From<&'t Source> for There<'t> {
    fn from(source: &'t Source) -> Self {
        match source {
            Source::OpenSearch(store) => Self::Store(store),
            Source::Kubectl(pods) => Self::Pods(pods),
            Source::Both(both) => Self::Both(both.store(), both.pods()),
        }
    }
}

impl There<'_> {
    /// Whether there is a line that a filter wants; none where that cannot be known.
    pub fn has(self, filter: &Filter) -> Option<bool> {
        match self {
            Self::Store(store) => {
                // What OpenSearch does not test, only its lines would tell.
                let sure = push(filter).is_exact();
                let any = sure.then(|| store.any(filter));
                any?.ok()
            }
            Self::Pods(pods) => {
                let mut may = pods
                    .containers()
                    .iter()
                    .map(|container| container.may_match(filter));
                // Whether the line itself fits, is not known.
                (!may.any(|may| may)).then_some(false)
            }
            Self::Both(store, pods) => {
                let sides = [store.map(Self::Store), pods.map(Self::Pods)];
                let has = sides.into_iter().flatten().map(|side| side.has(filter));
                has.reduce(|one, other| match (one, other) {
                    (Some(true), _) | (_, Some(true)) => Some(true),
                    (Some(false), Some(false)) => Some(false),
                    _ => None,
                })?
            }
            Self::Files(paths) => match files::open(paths, filter).ok()?.next() {
                None => Some(false),
                Some(line) => line.ok().map(|_| true),
            },
        }
    }

    /// Values of a field that lines have which a filter wants: of very many lines or values not all.
    pub fn values(self, filter: &Filter, field: &str) -> BTreeSet<String> {
        let of = |document: &Document| document.text(field).map(str::to_owned);
        match self {
            Self::Store(store) => store
                .frequent(filter, field)
                .unwrap_or_default()
                .into_iter()
                .collect(),
            Self::Pods(pods) => pods
                .containers()
                .iter()
                .filter_map(|one| of(&one.known))
                .collect(),
            Self::Both(store, pods) => {
                let sides = [store.map(Self::Store), pods.map(Self::Pods)];
                sides
                    .into_iter()
                    .flatten()
                    .flat_map(|side| side.values(filter, field))
                    .collect()
            }
            Self::Files(paths) => {
                let lines = files::open(paths, filter).into_iter().flatten().flatten();
                lines
                    .take(SAMPLE)
                    .filter_map(|entry| of(&entry.document))
                    .collect()
            }
        }
    }

    /// What it gives: lines, or pods whose lines are known only when they are read.
    pub const fn is_of_pods(self) -> bool {
        matches!(self, Self::Pods(_))
    }
}
