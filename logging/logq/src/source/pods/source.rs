//! Pods as one of the sources.

use std::{
    collections::BTreeSet,
    io::{self, Write},
};

use super::{Error, PodsFeed, PodsSource};
use crate::{
    entry::Order,
    filter::Filter,
    query::{Query, ResolvedContext},
    source::{
        error::SourceError,
        feed::{Feed, FeedOptions},
        line_source::{Entries, LineSource},
    },
};

impl From<Error> for SourceError {
    fn from(error: Error) -> Self {
        let is_transient = error.is_transient();
        Self::new(error, is_transient)
    }
}

impl LineSource for PodsSource {
    fn resolve(&self, query: &Query) -> Result<ResolvedContext, SourceError> {
        Ok(self.resolve(query))
    }

    fn lines(&self, filter: &Filter, _order: Order) -> Result<Entries<'_>, SourceError> {
        Ok(Box::new(self.lines(filter).map(|line| Ok(line?))))
    }

    fn explain(&self, filter: &Filter, out: &mut dyn Write) -> io::Result<()> {
        self.explain(filter, out)
    }

    fn has_match(&self, filter: &Filter) -> Option<bool> {
        let mut containers = self.containers().iter();
        // A pod that may match says nothing about its lines.
        (!containers.any(|container| container.may_match(filter))).then_some(false)
    }

    fn values(&self, _filter: &Filter, field: &str) -> BTreeSet<String> {
        let containers = self.containers().iter();
        containers
            .filter_map(|container| container.pod_fields.text(field).map(str::to_owned))
            .collect()
    }

    fn lists_pods(&self) -> bool {
        true
    }

    fn take_diagnostics(&self) -> (Vec<String>, Vec<String>) {
        self.take_diagnostics()
    }

    fn into_feed(self: Box<Self>, query: &Query, options: FeedOptions) -> Option<Box<dyn Feed>> {
        Some(Box::new(PodsFeed::new(*self, query.clone(), options)))
    }
}
