//! `--with-queue` beside a trace: the broker's lines in the time of the trace.
//!
//! RabbitMQ does not log single messages, so none of its lines has a trace id.

use std::{collections::BTreeMap, time::Duration};

use log_normalizer::{Document, Time};
use schema::field;

use super::{Dependency, Query, ResolvedContext, TimeRange, all_of, is};
use crate::filter::Filter;

/// Margin before the first and after the last line of a trace.
pub const MARGIN: Duration = Duration::from_secs(5);

/// Above this number of traces, one span covers all of them: OpenSearch limits the clauses of a query.
const MAX_SPANS: usize = 200;

/// The first and last time of each trace.
#[derive(Clone, Debug, Default)]
pub struct TraceSpans(BTreeMap<String, (Time, Time)>);

impl TraceSpans {
    /// Extends the span of the line's trace.
    pub fn add(&mut self, document: &Document) {
        let (Some(trace), Some(time)) = (document.trace_id(), document.timestamp()) else {
            return;
        };
        let (first, last) = self.0.entry(trace.to_owned()).or_insert((time, time));
        *first = time.min(*first);
        *last = time.max(*last);
    }

    /// Whether the line is in the span of this trace.
    #[must_use]
    pub fn contains(&self, trace: &str, document: &Document) -> bool {
        let span = self.0.get(trace).copied().map(with_margin);
        span.is_some_and(|span| span.filter().matches(document))
    }

    /// The broker's lines in the spans that fulfil the other conditions of the query.
    #[must_use]
    pub fn broker_lines(&self, query: &Query) -> Filter {
        let spans = self.0.values().copied();
        let spans: Vec<Filter> = if self.0.len() > MAX_SPANS {
            let whole = spans.reduce(|(a, b), (c, d)| (a.min(c), b.max(d)));
            whole.map(|span| with_margin(span).filter()).into_iter().collect()
        } else {
            spans.map(|span| with_margin(span).filter()).collect()
        };
        all_of(vec![
            is(field::MESSAGING_SYSTEM, "rabbitmq"),
            Filter::Any(spans),
            query.time_range.filter(),
            query.pod_filter.clone(),
            query.conditions.clone(),
        ])
    }
}

fn with_margin((first, last): (Time, Time)) -> TimeRange {
    let margin = i64::try_from(MARGIN.as_nanos()).unwrap_or(i64::MAX);
    TimeRange {
        since: Some(Time::from_nanos(first.nanos().saturating_sub(margin).max(0))),
        until: Some(Time::from_nanos(last.nanos().saturating_add(margin))),
    }
}

impl Query {
    /// The option that adds the broker's lines to a trace, if any.
    #[must_use]
    pub fn broker_option(&self) -> Option<&'static str> {
        let is_requested =
            self.asks_for_traces() && self.dependencies.requested().contains(&Dependency::Queue);
        is_requested.then(|| match self.dependencies.option() {
            Some("with-all") => "with-all",
            _ => "with-queue",
        })
    }

    /// All lines of the traces, without the other conditions.
    #[must_use]
    pub fn trace_lines(&self, context: &ResolvedContext) -> Filter {
        let mut all = vec![self.scope(context)];
        all.extend(self.trace.clone());
        if !self.photos.is_empty() {
            let traces = context.traces.iter().map(|trace| is(field::TRACE_ID, trace));
            all.push(Filter::Any(traces.collect()));
        }
        all_of(all)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{query::Criteria, time::Clock};

    fn document(second: u32, more: Value) -> Document {
        let mut line = json!({ "@timestamp": format!("2026-11-22T10:00:{second:02}Z"), "level": "info" });
        line.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        Document::try_from(line).unwrap()
    }

    fn broker(second: u32) -> Document {
        document(second, json!({ "messaging": { "system": "rabbitmq" } }))
    }

    fn spans(lines: &[(u32, &str)]) -> TraceSpans {
        let mut spans = TraceSpans::default();
        for (second, trace) in lines {
            spans.add(&document(*second, json!({ "trace_id": trace })));
        }
        spans
    }

    fn query(level: Option<&'static str>) -> Query {
        let criteria = Criteria {
            level,
            ..Criteria::default()
        };
        Query::new(&criteria, &Clock::system(true)).unwrap()
    }

    #[test]
    fn each_trace_has_its_own_span() {
        let spans = spans(&[(20, "a"), (10, "a"), (50, "b")]);
        let filter = spans.broker_lines(&query(None));
        for (second, in_a, in_b) in [
            (4, false, false),
            (5, true, false),
            (25, true, false),
            (26, false, false),
            (45, false, true),
            (55, false, true),
            (56, false, false),
        ] {
            let line = broker(second);
            assert_eq!(spans.contains("a", &line), in_a, "{second}");
            assert_eq!(spans.contains("b", &line), in_b, "{second}");
            assert_eq!(filter.matches(&line), in_a || in_b, "{second}");
        }
        assert!(!filter.matches(&document(20, json!({}))));
    }

    #[test]
    fn broker_lines_fulfil_the_other_conditions() {
        let spans = spans(&[(20, "a")]);
        assert!(!spans.broker_lines(&query(Some("warn"))).matches(&broker(20)));
        assert!(
            !TraceSpans::default()
                .broker_lines(&query(None))
                .matches(&broker(20))
        );
    }

    #[test]
    fn many_traces_share_one_span() {
        let names: Vec<String> = (0..=MAX_SPANS).map(|number| number.to_string()).collect();
        let lines: Vec<(u32, &str)> = names.iter().map(|name| (20, name.as_str())).collect();
        let filter = spans(&lines).broker_lines(&query(None));
        assert!(filter.matches(&broker(20)) && !filter.matches(&broker(30)));
        assert!(filter.to_string().len() < 1_000, "{filter}");
    }
}
