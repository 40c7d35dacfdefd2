//! The query: what to search, as data.

mod dependencies;
mod error;
mod parse;
mod time_range;
mod trace_spans;

use std::{collections::BTreeSet, sync::Arc};

use log_normalizer::Document;
use schema::field;

use self::parse::{conditions, list_criteria, parse_globs, parse_traces, pod_filter};
pub use self::{
    dependencies::{Dependencies, Dependency},
    error::QueryError,
    time_range::{TimeCriteria, TimeRange},
    trace_spans::{MARGIN, TraceSpans},
};
use crate::{
    filter::{Filter, Glob, LeftOut, Literal},
    time::Clock,
};

/// One criterion, as typed. If nothing matches, each criterion is checked separately.
#[derive(Clone, Debug)]
pub enum Criterion {
    /// A name, for example of a component or a pod. Names of one kind are alternatives.
    Name {
        /// What the name refers to.
        what: &'static str,
        field: &'static str,
        /// The name or pattern.
        typed: String,
        filter: Filter,
    },
    /// A condition on a field.
    Condition {
        field: String,
        typed: String,
        /// Negated if the condition is.
        filter: Filter,
    },
}

/// The criteria of a query, as typed.
#[derive(Clone, Debug, Default)]
pub struct Criteria {
    pub components: Vec<String>,
    pub dependencies: Dependencies,
    pub namespaces: Vec<String>,
    pub pods: Vec<String>,
    pub containers: Vec<String>,
    pub nodes: Vec<String>,
    /// A label selector.
    pub selector: Option<String>,
    /// The minimum level.
    pub level: Option<&'static str>,
    pub grep: Vec<String>,
    pub exclude: Vec<String>,
    pub conditions: Vec<String>,
    pub photos: Vec<i64>,
    pub traces: Vec<String>,
    pub time: TimeCriteria,
}

/// What to search.
#[derive(Clone, Debug)]
pub struct Query {
    /// Empty for all components.
    pub components: Vec<Glob>,
    /// Dependencies of these components to include.
    pub dependencies: Dependencies,
    /// Lines about these photos, and all lines of their traces.
    pub photos: Vec<i64>,
    /// Lines of these traces.
    pub trace: Option<Filter>,
    /// Restricts the pods.
    pub pod_filter: Filter,
    /// All other conditions.
    pub conditions: Filter,
    pub time_range: TimeRange,
    /// The criteria, to explain an empty result.
    pub criteria: Vec<Criterion>,
    /// Lines without a time or a level that [`Self::filter`] and [`Self::scope`] left out.
    pub left_out: Arc<LeftOut>,
}

impl Query {
    /// # Errors
    /// [`QueryError`].
    pub fn new(criteria: &Criteria, clock: &Clock) -> Result<Self, QueryError> {
        let is_anchored =
            !criteria.components.is_empty() || !criteria.photos.is_empty() || !criteria.traces.is_empty();
        if let Some(option) = criteria.dependencies.option()
            && !is_anchored
        {
            return Err(QueryError::UsesOfNothing(option));
        }
        Ok(Self {
            components: parse_globs("component", &criteria.components)?,
            dependencies: criteria.dependencies.clone(),
            photos: criteria.photos.clone(),
            trace: parse_traces(&criteria.traces)?,
            pod_filter: pod_filter(criteria)?,
            conditions: conditions(criteria, clock)?,
            time_range: TimeRange::parse(&criteria.time, clock)?,
            criteria: list_criteria(criteria, clock)?,
            left_out: Arc::default(),
        })
    }

    /// Lines of the named components.
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

    /// All lines of the named components, their dependencies and the selected pods in the time range. Context lines
    /// come from this scope.
    #[must_use]
    pub fn scope(&self, context: &ResolvedContext) -> Filter {
        all_of(self.scope_parts(context)).counting(&self.left_out)
    }

    fn scope_parts(&self, context: &ResolvedContext) -> Vec<Filter> {
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
        all
    }

    /// The matching lines.
    #[must_use]
    pub fn filter(&self, context: &ResolvedContext) -> Filter {
        let mut all = self.scope_parts(context);
        all.push(self.conditions.clone());
        all.extend(self.trace.clone());
        if !self.photos.is_empty() {
            let traces = context.traces.iter().map(|trace| is(field::TRACE_ID, trace));
            all.push(Filter::Any(self.photo_filters().chain(traces).collect()));
        }
        all_of(all).counting(&self.left_out)
    }

    /// All lines that may match once the context is resolved.
    #[must_use]
    pub fn candidates(&self) -> Filter {
        if self.needs_context() {
            Filter::EVERYTHING
        } else {
            self.filter(&ResolvedContext::default())
        }
    }

    /// The lines that can add to a [`ResolvedContext`].
    #[must_use]
    pub fn context_sources(&self) -> Filter {
        let named = (!self.components.is_empty()).then(|| self.component_filter());
        Filter::Any(named.into_iter().chain(self.photo_filters()).collect())
    }

    /// The lines about a photo that belong to its processing. Omits read requests.
    #[must_use]
    pub fn photo_journey(&self) -> Filter {
        let reads = ["GET", "HEAD"].map(|method| is(field::HTTP_REQUEST_METHOD, method));
        let about = any_of(self.photo_filters().collect());
        Filter::All(vec![about, Filter::Any(reads.into()).negated()])
    }

    /// One filter for each photo.
    pub(crate) fn photo_filters(&self) -> impl Iterator<Item = Filter> {
        let photos = self.photos.iter();
        photos.map(|photo| is(field::PHOTO_ID, &photo.to_string()))
    }

    /// Whether the query selects photos or traces, which come to an end.
    #[must_use]
    pub const fn asks_for_traces(&self) -> bool {
        !self.photos.is_empty() || self.trace.is_some()
    }

    /// A note if no line names the requested dependencies.
    #[must_use]
    pub fn unknown_dependencies(&self, context: &ResolvedContext) -> Option<String> {
        let option = self.dependencies.option()?;
        let label = self.dependencies.requested().first()?.label();
        (context.dependencies.is_empty() && !self.components.is_empty()).then(|| {
            format!(
                "--{option}: the dependencies of these components are unknown: no line has the label {label}. \
                 Name them with -c"
            )
        })
    }

    /// Whether the query needs a [`ResolvedContext`].
    #[must_use]
    pub fn needs_context(&self) -> bool {
        !self.photos.is_empty() || (!self.components.is_empty() && !self.dependencies.requested().is_empty())
    }
}

/// What must be known before the query can select lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvedContext {
    /// The components that the named ones depend on.
    pub dependencies: BTreeSet<String>,
    /// The traces of the photos.
    pub traces: BTreeSet<String>,
}

impl ResolvedContext {
    /// Adds other knowledge; returns whether it is new.
    pub fn merge(&mut self, more: Self) -> bool {
        let before = (self.dependencies.len(), self.traces.len());
        self.dependencies.extend(more.dependencies);
        self.traces.extend(more.traces);
        before != (self.dependencies.len(), self.traces.len())
    }

    /// Extracts knowledge from a line.
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
    fn view_requests_are_not_traces_of_the_photo() {
        let criteria = Criteria {
            photos: vec![17],
            ..Criteria::default()
        };
        let query = Query::new(&criteria, &Clock::system(true)).unwrap();
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
