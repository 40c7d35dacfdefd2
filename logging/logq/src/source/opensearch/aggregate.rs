//! Summaries by OpenSearch's aggregations, if they equal those of the lines.
//!
//! OpenSearch counts indexed values. If a condition must be tested locally, or a numeric field contains other values,
//! the lines are read instead. A value longer than [`schema::MAX_TERM_BYTES`] is not indexed and does not count.

use log_normalizer::Time;
use schema::{field, level};
use serde_json::{Value, json};

use super::OpenSearchSource;
use crate::{
    filter::{Filter, aggregatable_field, push_down},
    opensearch::Result,
    summary::{Histogram, NO_COMPONENT, Stats, Summary, Top, WARN_OR_ERROR},
};

/// Maximum number of distinct values; for more, the lines are read.
const MAX_VALUES: usize = 20_000;

/// Maximum number of levels: five, unless other programs write to the index.
const MAX_LEVELS: usize = 100;

/// The aggregation that counts values that do not fit their field.
const UNINDEXED: &str = "unindexed";

/// Whether OpenSearch can count these lines exactly.
#[must_use]
pub fn can_count(filter: &Filter, summary: &Summary) -> bool {
    let known = match summary {
        Summary::Top(top) => aggregatable_field(top.field()).is_some(),
        Summary::Stats(_) | Summary::Histogram(_) => true,
    };
    known && push_down(filter).is_exact()
}

impl OpenSearchSource {
    /// Fills the summary as if it had seen each matching line; returns their number. None, with an unchanged summary,
    /// if the lines must be read.
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

    /// Fetches the time bounds first, then the counts for a suitable bar width.
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
            // The key of a boolean is a number; its text is here.
            let key = value.get("key_as_string").or_else(|| value.get("key"));
            top.add(key.unwrap_or(&Value::Null), doc_count(value));
        }
        Ok(total_hits(&answer))
    }

    /// Runs aggregations; None if the index lacks some values of these fields.
    fn aggregated(&self, filter: &Filter, fields: &[&str], mut aggregations: Value) -> Result<Option<Value>> {
        aggregations[UNINDEXED] = json!({ "filter": { "terms": { "_ignored": fields } } });
        let body = json!({
            "size": 0, "track_total_hits": true, "aggs": aggregations,
            "query": { "bool": { "filter": [push_down(filter).upper.into_dsl()] } },
        });
        let answer = self.search_streams("count lines", &body)?;
        // Without any stream, there are no counts.
        let unindexed = answer.pointer("/aggregations/unindexed").map_or(0, doc_count);
        Ok((unindexed == 0).then_some(answer))
    }
}

const NANOS_PER_MILLI: i64 = 1_000_000;

/// Aggregations for the oldest and newest time.
fn time_bounds() -> Value {
    json!({ "oldest": { "min": { "field": field::TIMESTAMP } }, "newest": { "max": { "field": field::TIMESTAMP } } })
}

/// Their results, which are in milliseconds.
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

/// The buckets of an aggregation; None if some are missing.
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
