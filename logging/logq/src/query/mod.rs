//! What a command line asks for, as data.

mod dependencies;
mod error;
mod parse;
pub mod related;
mod time_range;

use std::collections::BTreeSet;

use line::Document;
use schema::field;

use self::parse::{conditions, criteria, parse_globs, parse_traces, pod_filter};
pub use self::{
    dependencies::{Dependencies, Dependency},
    error::QueryError,
    time_range::TimeRange,
};
use crate::{
    cli::{SelectOptions, TimeOptions, time::Clock},
    filter::{Filter, Glob, Literal},
};

/// One thing that lines must have, as it was typed.
#[derive(Clone, Debug)]
pub enum Criterion {
    /// A component, a pod or the like: of several of a kind one is enough.
    Name {
        /// What it names.
        what: &'static str,
        /// The field that holds it.
        field: &'static str,
        /// The name or pattern.
        typed: String,
        /// The same as a filter.
        filter: Filter,
    },
    /// Something of a field.
    Condition {
        /// The field.
        field: String,
        /// The condition.
        typed: String,
        /// The same as a filter: negated where the condition is.
        filter: Filter,
    },
}

/// Which lines are asked for.
#[derive(Clone, Debug)]
pub struct Query {
    /// The components that were named; none for all.
    pub components: Vec<Glob>,
    /// What they use and is asked for, too.
    pub dependencies: Dependencies,
    /// Lines about one of these photos, and of the traces that these belong to.
    pub photos: Vec<i64>,
    /// Lines of one of these traces.
    pub trace: Option<Filter>,
    /// The pods that it is asked of.
    pub pod_filter: Filter,
    /// What else is wanted of each line.
    pub conditions: Filter,
    /// When.
    pub time_range: TimeRange,
    /// What of it can be told where nothing is found: of names and fields, each for itself.
    pub criteria: Vec<Criterion>,
}

impl Query {
    /// Reads what is wanted.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn from_options(
        select: &SelectOptions,
        time: &TimeOptions,
        clock: &Clock,
    ) -> Result<Self, QueryError> {
        let dependencies = Dependencies::from_options(select);
        let anchored =
            !select.components.is_empty() || !select.photos.is_empty() || !select.traces.is_empty();
        if let Some(option) = dependencies.option()
            && !anchored
        {
            return Err(QueryError::UsesOfNothing(option));
        }
        Ok(Self {
            components: parse_globs("component", &select.components)?,
            dependencies,
            photos: select.photos.clone(),
            trace: parse_traces(&select.traces)?,
            pod_filter: pod_filter(select)?,
            conditions: conditions(select, clock)?,
            time_range: TimeRange::from_options(time, clock)?,
            criteria: criteria(select, clock)?,
        })
    }

    /// The lines of the components that were named.
    #[must_use]
    pub fn component_filter(&self) -> Filter {
        if self.components.is_empty() {
            return Filter::EVERYTHING;
        }
        let components = self.components.iter().cloned();
        Filter::Any(
            components
                .map(|parse_glob| Filter::Glob(field::COMPONENT.to_owned(), parse_glob))
                .collect(),
        )
    }

    /// The lines among which is looked, and which can be shown around those
    /// that are found: those of the named components, and of what they use.
    #[must_use]
    pub fn scope(&self, context: &ResolvedContext) -> Filter {
        let mut all = vec![self.time_range.filter(), self.pod_filter.clone()];
        if !self.components.is_empty() {
            let dependencies = context
                .dependencies
                .iter()
                .map(|component| is(field::COMPONENT, component));
            all.push(Filter::Any(
                std::iter::once(self.component_filter())
                    .chain(dependencies)
                    .collect(),
            ));
        }
        all_of(all)
    }

    /// The lines that are wanted.
    #[must_use]
    pub fn filter(&self, context: &ResolvedContext) -> Filter {
        let mut all = vec![self.scope(context), self.conditions.clone()];
        all.extend(self.trace.clone());
        if !self.photos.is_empty() {
            let traces = context.traces.iter().map(|trace| is(field::TRACE_ID, trace));
            all.push(Filter::Any(self.photo_filters().chain(traces).collect()));
        }
        all_of(all)
    }

    /// The lines that can turn out to be wanted, whatever is still learnt.
    #[must_use]
    pub fn candidates(&self) -> Filter {
        if self.needs_context() {
            Filter::EVERYTHING
        } else {
            self.filter(&ResolvedContext::default())
        }
    }

    /// The lines that [`ResolvedContext`] is learnt from.
    #[must_use]
    pub fn context_sources(&self) -> Filter {
        let named = (!self.components.is_empty()).then(|| self.component_filter());
        Filter::Any(named.into_iter().chain(self.photo_filters()).collect())
    }

    /// The lines of a photo's way that name it.
    #[must_use]
    pub fn photo_journey(&self) -> Filter {
        let reads = ["GET", "HEAD"].map(|method| is(field::HTTP_REQUEST_METHOD, method));
        let about = any_of(self.photo_filters().collect());
        Filter::All(vec![about, Filter::Any(reads.into()).negated()])
    }

    /// The lines that name a photo that is asked for, a filter for each.
    pub(crate) fn photo_filters(&self) -> impl Iterator<Item = Filter> {
        let photos = self.photos.iter();
        photos.map(|photo| is(field::PHOTO_ID, &photo.to_string()))
    }

    /// Whether what is asked for is a photo's way, or a trace: both come to an
    /// end.
    #[must_use]
    pub const fn asks_for_traces(&self) -> bool {
        !self.photos.is_empty() || self.trace.is_some()
    }

    /// The option that asks for what is [`related`] to traces, if one does.
    #[must_use]
    pub fn related_option(&self) -> Option<&'static str> {
        let asked = self.asks_for_traces() && self.dependencies.requested().contains(&Dependency::Queue);
        asked.then(|| match self.dependencies.option() {
            Some("with-all") => "with-all",
            _ => "with-queue",
        })
    }

    /// Whether something has to be found out before: see [`ResolvedContext`].
    #[must_use]
    pub fn needs_context(&self) -> bool {
        !self.photos.is_empty() || (!self.components.is_empty() && !self.dependencies.requested().is_empty())
    }
}

/// What has to be found out before it is known which lines are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvedContext {
    /// The components that the named ones use, of what was asked for.
    pub dependencies: BTreeSet<String>,
    /// The traces that lines about the photo belong to.
    pub traces: BTreeSet<String>,
}

impl ResolvedContext {
    /// Adds what is known elsewhere; returns whether it is more than before.
    pub fn merge(&mut self, more: Self) -> bool {
        let before = (self.dependencies.len(), self.traces.len());
        self.dependencies.extend(more.dependencies);
        self.traces.extend(more.traces);
        before != (self.dependencies.len(), self.traces.len())
    }

    /// Learns from a line.
    pub fn learn_from(&mut self, query: &Query, document: &Document) {
        if !query.components.is_empty() && query.component_filter().matches(document) {
            for dependencies in query.dependencies.requested() {
                self.dependencies
                    .extend(document.label(dependencies.label()).map(str::to_owned));
            }
        }
        if query.photo_journey().matches(document) {
            self.traces.extend(document.trace_id().map(str::to_owned));
        }
    }
}

fn is(field: &str, value: &str) -> Filter {
    Filter::Equals(field.to_owned(), Literal::new(value))
}

fn all_of(mut all: Vec<Filter>) -> Filter {
    all.retain(|part| !part.is_everything());
    match <[Filter; 1]>::try_from(all) {
        Ok([only]) => only,
        Err(all) => Filter::All(all),
    }
}

fn any_of(any: Vec<Filter>) -> Filter {
    match <[Filter; 1]>::try_from(any) {
        Ok([only]) => only,
        Err(any) => Filter::Any(any),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_looked_at_a_photo_is_no_part_of_its_way() {
        let select = SelectOptions {
            photos: vec![17],
            ..SelectOptions::default()
        };
        let query = Query::from_options(&select, &TimeOptions::default(), &Clock::system(true)).unwrap();
        let mut context = ResolvedContext::default();
        for (method, trace) in [(Some("POST"), "a"), (Some("GET"), "b"), (None, "c")] {
            let mut line = json!({ "photo": { "id": 17 }, "trace_id": trace });
            if let Some(method) = method {
                line["http"] = json!({ "request": { "method": method } });
            }
            context.learn_from(&query, &Document::try_from(line).unwrap());
        }
        assert_eq!(context.traces.iter().collect::<Vec<_>>(), ["a", "c"]);
    }
}
