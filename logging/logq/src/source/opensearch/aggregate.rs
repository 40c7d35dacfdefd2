//! Numbers that OpenSearch counts itself, where its count is that of the lines.
//!
//! It counts what is in its index. Where a condition is tested here, or a value
//! is no number where the index has numbers, the lines are read instead. A
//! value that is too long for the index ([`schema::MAX_TERM_BYTES`]) cannot be
//! seen there, and counts as none.

use line::Time;
use schema::{field, level};
use serde_json::{Value, json};

use super::{IGNORE_UNAVAILABLE, OpenSearchSource, streams};
use crate::{
    filter::{Filter, aggregatable_field, push_down},
    opensearch::{Method, Result},
    summary::{Histogram, NO_COMPONENT, Stats, Summary, Top, WARN_OR_ERROR},
};

/// Different values that are counted there; for more the lines are read.
const MAX_VALUES: usize = 20_000;

/// Levels of lines; there are five, unless others write here too.
const MAX_LEVELS: usize = 100;

/// What an answer says of values that do not fit their field.
const UNINDEXED: &str = "unindexed";

/// Whether conditions and fields are such that OpenSearch can count.
#[must_use]
pub fn can_count(filter: &Filter, summary: &Summary) -> bool {
    let known = match summary {
        Summary::Top(top) => aggregatable_field(top.field()).is_some(),
        Summary::Stats(_) | Summary::Histogram(_) => true,
    };
    known && push_down(filter).is_exact()
}

impl OpenSearchSource {
    /// Counts the lines that a filter wants, as `summary` would if it was given
    /// each; returns how many there are. None where only the lines tell: then
    /// nothing was counted.
    ///
    /// # Errors
    /// Every error of [`crate::opensearch::Client::ask`].
    pub fn fill_summary(&self, filter: &Filter, summary: &mut Summary) -> Result<Option<u64>> {
        if !can_count(filter, summary) {
            return Ok(None);
        }
        match summary {
            Summary::Stats(stats) => self.stats(filter, stats),
            Summary::Histogram(histogram) => self.histogram(filter, histogram),
            Summary::Top(top) => self.top(filter, top),
        }
    }

    fn stats(&self, filter: &Filter, stats: &mut Stats) -> Result<Option<u64>> {
        let components = json!({ "components": {
            "terms": { "field": field::COMPONENT, "missing": NO_COMPONENT, "size": MAX_VALUES },
            "aggs": { "levels": {
                "terms": { "field": field::LEVEL, "missing": "", "size": MAX_LEVELS }, "aggs": time_bounds(),
            } },
        } });
        let Some(answer) = self.aggregated(filter, &[field::COMPONENT, field::LEVEL], components)? else {
            return Ok(None);
        };
        let Some(components) = complete_buckets(&answer, "/aggregations/components") else {
            return Ok(None);
        };
        let mut counted = Stats::default();
        for component in components {
            let Some(levels) = complete_buckets(component, "/levels") else {
                return Ok(None);
            };
            for level in levels {
                let name = level.get("key").and_then(Value::as_str);
                let name = name.filter(|name| level::ALL.contains(name));
                let component = component.get("key").and_then(Value::as_str);
                counted.add(component, name, doc_count(level), read_time_bounds(level));
            }
        }
        stats.merge(counted);
        Ok(total_hits(&answer))
    }

    /// First from when to when, then how many in each bar of the width that is
    /// right for that.
    fn histogram(&self, filter: &Filter, histogram: &mut Histogram) -> Result<Option<u64>> {
        let Some(answer) = self.aggregated(filter, &[field::TIMESTAMP], time_bounds())? else {
            return Ok(None);
        };
        let Some((first, last)) = answer.get("aggregations").and_then(read_time_bounds) else {
            let none = total_hits(&answer) == Some(0);
            return Ok(none.then_some(0));
        };
        let mut counted = Histogram::spanning(first, last);
        let bars = json!({
            "bars": {
                "date_histogram": {
                    "field": field::TIMESTAMP, "min_doc_count": 1,
                    "fixed_interval": format!("{}s", counted.seconds()),
                },
                "aggs": { "grave": { "filter": { "terms": { field::LEVEL: WARN_OR_ERROR } } } },
            },
            "timeless": { "missing": { "field": field::TIMESTAMP } },
        });
        let Some(answer) = self.aggregated(filter, &[field::TIMESTAMP, field::LEVEL], bars)? else {
            return Ok(None);
        };
        let Some(bars) = answer
            .pointer("/aggregations/bars/buckets")
            .and_then(Value::as_array)
        else {
            return Ok(None);
        };
        for bar in bars {
            let Some(begin) = bar.get("key").and_then(Value::as_i64) else {
                return Ok(None);
            };
            let warn_or_error = bar.get("grave").map_or(0, doc_count);
            let begin = Time::from_nanos(begin.saturating_mul(NANOS_PER_MILLI));
            counted.add(Some(begin), doc_count(bar), warn_or_error);
        }
        let untimed = answer.pointer("/aggregations/timeless").map_or(0, doc_count);
        counted.add(None, untimed, 0);
        *histogram = counted;
        Ok(total_hits(&answer))
    }

    fn top(&self, filter: &Filter, top: &mut Top) -> Result<Option<u64>> {
        let Some(field_path) = aggregatable_field(top.field()) else {
            return Ok(None);
        };
        let values = json!({ "values": { "terms": { "field": field_path, "size": MAX_VALUES } } });
        let Some(answer) = self.aggregated(filter, &[&field_path], values)? else {
            return Ok(None);
        };
        let Some(values) = complete_buckets(&answer, "/aggregations/values") else {
            return Ok(None);
        };
        for value in values {
            // Booleans are numbers, but for this.
            let key = value.get("key_as_string").or_else(|| value.get("key"));
            top.add(key.unwrap_or(&Value::Null), doc_count(value));
        }
        Ok(total_hits(&answer))
    }

    /// Asks for numbers; none where the index does not hold all values of
    /// these fields.
    fn aggregated(&self, filter: &Filter, fields: &[&str], mut aggregations: Value) -> Result<Option<Value>> {
        aggregations[UNINDEXED] = json!({ "filter": { "terms": { "_ignored": fields } } });
        let body = json!({
            "size": 0, "track_total_hits": true, "aggs": aggregations,
            "query": { "bool": { "filter": [push_down(filter).upper.into_dsl()] } },
        });
        let path = format!("/{}/_search", streams());
        let answer = self.ask(
            "count lines",
            Method::Post,
            &path,
            &IGNORE_UNAVAILABLE,
            Some(&body),
        )?;
        // Of no stream at all there are no numbers either.
        let unindexed = answer.pointer("/aggregations/unindexed").map_or(0, doc_count);
        Ok((unindexed == 0).then_some(answer))
    }
}

/// Nanoseconds of a millisecond.
const NANOS_PER_MILLI: i64 = 1_000_000;

/// Asks for the times of the oldest and the newest line.
fn time_bounds() -> Value {
    json!({ "oldest": { "min": { "field": field::TIMESTAMP } }, "newest": { "max": { "field": field::TIMESTAMP } } })
}

/// Those times, in milliseconds as OpenSearch tells them.
fn read_time_bounds(answer: &Value) -> Option<(Time, Time)> {
    let time = |name: &str| {
        let millis = answer.get(name)?.get("value")?.as_f64()?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "whole milliseconds, far below 2^53"
        )]
        Some(Time::from_nanos(millis as i64 * NANOS_PER_MILLI))
    };
    Some((time("oldest")?, time("newest")?))
}

/// The buckets of an aggregation, unless there were more.
fn complete_buckets<'a>(answer: &'a Value, path: &str) -> Option<&'a Vec<Value>> {
    let Some(found) = answer.pointer(path) else {
        static NONE: Vec<Value> = Vec::new();
        return Some(&NONE);
    };
    let others = found.get("sum_other_doc_count").and_then(Value::as_u64);
    let wrong = found.get("doc_count_error_upper_bound").and_then(Value::as_i64);
    let all = others == Some(0) && wrong == Some(0);
    found.get("buckets").and_then(Value::as_array).filter(|_| all)
}

fn doc_count(bucket: &Value) -> u64 {
    bucket
        .get("doc_count")
        .and_then(Value::as_u64)
        .unwrap_or_default()
}

fn total_hits(answer: &Value) -> Option<u64> {
    answer.pointer("/hits/total/value").and_then(Value::as_u64)
}
