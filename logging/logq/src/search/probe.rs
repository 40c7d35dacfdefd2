//! What there is, asked of who holds the lines.

use std::{collections::BTreeSet, path::PathBuf};

use line::Document;

use crate::{
    filter::{Filter, push_down},
    source::{Source, files, kubectl::KubectlSource, opensearch::OpenSearchSource},
};

/// Of files so many lines say which values there are.
const MAX_SAMPLED_LINES: usize = 20_000;

/// Who holds the lines.
#[derive(Clone, Copy)]
pub enum SourceProbe<'t> {
    /// OpenSearch.
    OpenSearch(&'t OpenSearchSource),
    /// Pods. They are not asked for lines again: what is known of the pods says enough.
    Pods(&'t KubectlSource),
    /// Both, as far as they answer.
    Both(Option<&'t OpenSearchSource>, Option<&'t KubectlSource>),
    /// Files; not a pipe, which is read once.
    Files(&'t [PathBuf]),
}

impl<'t> From<&'t Source> for SourceProbe<'t> {
    fn from(source: &'t Source) -> Self {
        match source {
            Source::OpenSearch(store) => Self::OpenSearch(store),
            Source::Kubectl(pods) => Self::Pods(pods),
            Source::Combined(both) => Self::Both(both.store(), both.pods()),
        }
    }
}

impl SourceProbe<'_> {
    /// Whether there is a line that a filter wants; none where that cannot be known.
    pub fn has_match(self, filter: &Filter) -> Option<bool> {
        match self {
            Self::OpenSearch(store) => {
                // What OpenSearch does not test, only its lines would tell.
                let sure = push_down(filter).is_exact();
                let any = sure.then(|| store.has_match(filter));
                any?.ok()
            }
            Self::Pods(pods) => {
                let mut candidates = pods
                    .containers()
                    .iter()
                    .map(|container| container.may_match(filter));
                // Whether the line itself fits, is not known.
                (!candidates.any(|is_candidate| is_candidate)).then_some(false)
            }
            Self::Both(store, pods) => {
                let sides = [store.map(Self::OpenSearch), pods.map(Self::Pods)];
                let has = sides.into_iter().flatten().map(|side| side.has_match(filter));
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
        let value = |document: &Document| document.text(field).map(str::to_owned);
        match self {
            Self::OpenSearch(store) => store
                .frequent_values(filter, field)
                .unwrap_or_default()
                .into_iter()
                .collect(),
            Self::Pods(pods) => pods
                .containers()
                .iter()
                .filter_map(|one| value(&one.pod_fields))
                .collect(),
            Self::Both(store, pods) => {
                let sides = [store.map(Self::OpenSearch), pods.map(Self::Pods)];
                sides
                    .into_iter()
                    .flatten()
                    .flat_map(|side| side.values(filter, field))
                    .collect()
            }
            Self::Files(paths) => {
                let lines = files::open(paths, filter).into_iter().flatten().flatten();
                lines
                    .take(MAX_SAMPLED_LINES)
                    .filter_map(|entry| value(&entry.document))
                    .collect()
            }
        }
    }

    /// What it gives: lines, or pods whose lines are known only when they are read.
    pub const fn lists_pods(self) -> bool {
        matches!(self, Self::Pods(_))
    }
}
