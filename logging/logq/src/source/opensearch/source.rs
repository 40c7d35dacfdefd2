//! OpenSearch as one of the sources.

use std::{
    collections::BTreeSet,
    io::{self, Write},
};

use super::{
    MAX_FREQUENT_VALUES, OpenSearchSource, aggregate, feed::OpenSearchFeed, freshness, page, streams,
};
use crate::{
    entry::Order,
    filter::{Filter, Lack, push_down},
    query::{Query, ResolvedContext},
    source::{
        error::SourceError,
        feed::{Feed, FeedOptions},
        line_source::{Entries, LineSource},
    },
    summary::Summary,
};

impl LineSource for OpenSearchSource {
    fn resolve(&self, query: &Query) -> Result<ResolvedContext, SourceError> {
        Ok(self.resolve(query)?)
    }

    fn lines(&self, filter: &Filter, order: Order) -> Result<Entries<'_>, SourceError> {
        Ok(Box::new(self.lines(filter, order).map(|line| Ok(line?))))
    }

    fn explain(&self, filter: &Filter, out: &mut dyn Write) -> io::Result<()> {
        if let Some(port_forward) = self.client.port_forward() {
            writeln!(out, "connection: {}", terminal::escaped(&port_forward))?;
        }
        writeln!(
            out,
            "requests to {}: POST /_search, with a point in time of {}",
            self.url(),
            streams()
        )?;
        let query = serde_json::to_string_pretty(&page(filter, Order::Forward)).unwrap_or_default();
        for line in query.lines() {
            writeln!(out, "{}", terminal::escaped(line))?;
        }
        if !push_down(filter).is_exact() {
            writeln!(out, "logq tests the rest of the query on each line.")?;
        }
        Ok(())
    }

    fn has_match(&self, filter: &Filter) -> Option<bool> {
        match self.has_match(filter) {
            Ok(false) => Some(false),
            // OpenSearch may test only a part of the filter.
            Ok(true) if push_down(filter).is_exact() => Some(true),
            Ok(true) | Err(_) => None,
        }
    }

    fn values(&self, filter: &Filter, field: &str) -> BTreeSet<String> {
        let values = self.top_values(filter, field, MAX_FREQUENT_VALUES);
        values
            .map(|(values, _)| values.into_iter().collect())
            .unwrap_or_default()
    }

    fn supports_limits(&self) -> bool {
        true
    }

    fn count(&self, filter: &Filter) -> Result<Option<u64>, SourceError> {
        Ok(self.count(filter)?)
    }

    fn count_left_out(&self, filter: &Filter) -> Result<(), SourceError> {
        let (Some(left_out), Some(lines)) = (filter.left_out(), filter.lines_without_level()) else {
            return Ok(());
        };
        let count = match self.count(&lines)? {
            Some(count) => count,
            // logq must test a condition.
            None => self
                .lines(&lines, Order::Forward)
                .try_fold(0, |count, line| line.map(|_| count + 1))?,
        };
        left_out.add(Lack::Level, count);
        Ok(())
    }

    fn can_count(&self, filter: &Filter, summary: &Summary) -> bool {
        aggregate::can_count(filter, summary)
    }

    fn fill_summary(&self, filter: &Filter, summary: &mut Summary) -> Result<Option<u64>, SourceError> {
        Ok(self.fill_summary(filter, summary)?)
    }

    fn freshness_note(&self, query: &Query, context: &ResolvedContext) -> Option<String> {
        freshness::note(self, query, context)
    }

    fn take_diagnostics(&self) -> (Vec<String>, Vec<String>) {
        (self.client.take_notes(), Vec::new())
    }

    fn into_feed(self: Box<Self>, query: &Query, options: FeedOptions) -> Option<Box<dyn Feed>> {
        Some(Box::new(OpenSearchFeed::new(*self, query.clone(), options)))
    }
}
