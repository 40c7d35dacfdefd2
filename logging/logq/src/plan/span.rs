//! When lines were written that are wanted.

use line::Time;
use schema::field;

use super::Unclear;
use crate::{
    cli::{
        ALL, Window,
        time::{Clock, duration},
    },
    filter::{Comparison, Filter, Literal},
};

/// From when to when, both included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Not before.
    pub since: Option<Time>,
    /// Not after.
    pub until: Option<Time>,
}

impl Span {
    /// Reads when.
    ///
    /// # Errors
    /// [`Unclear`].
    pub fn of(window: &Window, clock: &Clock) -> Result<Self, Unclear> {
        let read = |option, text: &Option<String>| {
            text.as_deref()
                .filter(|text| *text != ALL)
                .map(|text| clock.read(text))
                .transpose()
                .map_err(|error| Unclear::Time { option, error })
        };
        if let Some(around) = &window.around {
            let middle = clock.read(around).map_err(|error| Unclear::Time {
                option: "around",
                error,
            })?;
            let half = window
                .since
                .as_deref()
                .and_then(duration)
                .map_or(MINUTE, |half| half.num_nanoseconds().unwrap_or(i64::MAX));
            return Ok(Self {
                since: Some(Time::from_nanos(middle.nanos().saturating_sub(half).max(0))),
                until: Some(Time::from_nanos(middle.nanos().saturating_add(half))),
            });
        }
        let span = Self {
            since: read("since", &window.since)?,
            until: read("until", &window.until)?,
        };
        match (span.since, span.until) {
            (Some(since), Some(until)) if until < since => Err(Unclear::Backwards {
                since: window.since.clone().unwrap_or_default(),
                until: window.until.clone().unwrap_or_default(),
            }),
            _ => Ok(span),
        }
    }

    /// The same as a filter.
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

/// A minute in nanoseconds.
const MINUTE: i64 = 60_000_000_000;
