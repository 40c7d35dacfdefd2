//! The time range of a query.

use chrono::TimeDelta;
use log_normalizer::Time;
use schema::field;

use super::QueryError;
use crate::{
    filter::{Comparison, Filter, Literal},
    time::{Clock, Edge, TimeError, is_all, parse_duration},
};

/// The times of a range, as typed.
#[derive(Clone, Debug, Default)]
pub struct TimeCriteria {
    pub since: Option<String>,
    pub until: Option<String>,
    pub around: Option<String>,
}

/// A time range, both ends included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeRange {
    pub since: Option<Time>,
    pub until: Option<Time>,
}

impl TimeRange {
    /// # Errors
    /// [`QueryError`].
    pub fn parse(typed: &TimeCriteria, clock: &Clock) -> Result<Self, QueryError> {
        let unclear = |option| move |error: TimeError| QueryError::Time { option, error };
        let read = |option, text: &Option<String>, edge| {
            text.as_deref()
                .filter(|text| !is_all(text))
                .map(|text| clock.parse(text, edge))
                .transpose()
                .map_err(unclear(option))
        };
        if let Some(around) = &typed.around {
            let middle = |edge| clock.parse(around, edge).map_err(unclear("around"));
            let half = match &typed.since {
                Some(since) => {
                    parse_duration(since.trim()).ok_or_else(|| QueryError::NoLength(since.clone()))?
                }
                None => MINUTE,
            };
            let half = half.num_nanoseconds().unwrap_or(i64::MAX);
            return Ok(Self {
                since: Some(Time::from_nanos(
                    middle(Edge::Begin)?.nanos().saturating_sub(half).max(0),
                )),
                until: Some(Time::from_nanos(middle(Edge::End)?.nanos().saturating_add(half))),
            });
        }
        let span = Self {
            since: read("since", &typed.since, Edge::Begin)?,
            until: read("until", &typed.until, Edge::End)?,
        };
        match (span.since, span.until) {
            (Some(since), Some(until)) if until < since => Err(QueryError::Backwards {
                since: typed.since.clone().unwrap_or_default(),
                until: typed.until.clone().unwrap_or_default(),
            }),
            _ => Ok(span),
        }
    }

    /// A note if a time is in the future or ambiguous, to explain an empty result.
    #[must_use]
    pub fn suspicion(&self, criteria: &TimeCriteria, clock: &Clock) -> Option<String> {
        let options = [
            ("around", &criteria.around),
            ("since", &criteria.since),
            ("until", &criteria.until),
        ];
        let mut given = options
            .into_iter()
            .filter_map(|(option, text)| Some((option, text.as_deref()?.trim())));
        if self.since.is_some_and(|since| since > clock.now()) {
            return given
                .next()
                .map(|(option, typed)| format!("--{option} {typed} is in the future"));
        }
        given.find_map(|(option, typed)| {
            let length = typed
                .strip_prefix('-')
                .filter(|length| parse_duration(length).is_some())?;
            Some(format!(
                "--{option} {typed} means {length} ago, like --{option} {length}"
            ))
        })
    }

    #[must_use]
    pub fn filter(&self) -> Filter {
        let bound = |time: Option<Time>, comparison| {
            time.map(|time| {
                let time = Literal::new(&time.to_string());
                Filter::Compare(field::TIMESTAMP.to_owned(), comparison, time)
            })
        };
        let bounds = [
            bound(self.since, Comparison::AtLeast),
            bound(self.until, Comparison::AtMost),
        ];
        Filter::All(bounds.into_iter().flatten().collect())
    }
}

/// Half the default range of `--around`.
const MINUTE: TimeDelta = TimeDelta::minutes(1);
