//! Checks a source for lines and values.

use std::{collections::BTreeSet, path::PathBuf};

use line::Document;

use crate::{
    filter::{Filter, push_down},
    source::{Source, files, kubectl::KubectlSource, opensearch::OpenSearchSource},
};

/// Number of lines that are sampled for values in files.
const MAX_SAMPLED_LINES: usize = 20_000;

/// A source to check.
#[derive(Clone, Copy)]
pub enum SourceProbe<'t> {
    OpenSearch(&'t OpenSearchSource),
    /// The listed pods answer; their lines are not read.
    Pods(&'t KubectlSource),
    Both(Option<&'t OpenSearchSource>, Option<&'t KubectlSource>),
    /// Files, but not a pipe, which can be read only once.
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
    /// Whether a line matches; None if unknown.
    pub fn has_match(self, filter: &Filter) -> Option<bool> {
        match self {
            Self::OpenSearch(store) => {
                // OpenSearch must test the whole filter.
                let sure = push_down(filter).is_exact();
                let any = sure.then(|| store.has_match(filter));
                any?.ok()
            }
            Self::Pods(pods) => {
                let mut candidates = pods
                    .containers()
                    .iter()
                    .map(|container| container.may_match(filter));
                // A pod that may match says nothing about its lines.
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

    /// Values of a field in the matching lines. Incomplete for many lines or values.
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

    /// Whether only pods are listed, without their lines.
    pub const fn lists_pods(self) -> bool {
        matches!(self, Self::Pods(_))
    }
}
