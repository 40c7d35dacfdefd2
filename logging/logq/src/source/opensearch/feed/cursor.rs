//! The cursor of the feed, by OpenSearch's clock.

use std::{collections::HashMap, time::Duration};

use log_normalizer::Document;
use schema::field;
use serde_json::{Value, json};

use super::{MAX_DELAY, USUAL_DELAY, recent::Hit};
use crate::filter::{Comparison, Filter, Literal};

/// Milliseconds since 1970, the resolution of the index.
pub type Millis = i64;

/// How far back a round looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookback {
    /// The usual indexing delay.
    Usual,
    /// The maximum indexing delay.
    Far,
}

/// How far lines were delivered.
#[derive(Debug, Default)]
pub struct FeedCursor {
    /// Start of the first round.
    first_round: Option<Millis>,
    /// Start of the last complete round; None before the first one, or without a stream.
    last_round: Option<Millis>,
    /// Start of the last outage, and until when far rounds look back to it: lines that waited through the outage were
    /// stamped before it.
    outage_start: Option<(Millis, Millis)>,
    /// Start of the current round's range.
    from: Millis,
    /// Lines that a round may find again, with their ingestion times.
    delivered: HashMap<String, Millis>,
}

const fn millis(duration: Duration) -> Millis {
    // A duration of minutes fits.
    duration.as_millis() as Millis
}

impl FeedCursor {
    /// Starts a round.
    pub fn begin(&mut self, lookback: Lookback) {
        self.from = match lookback {
            Lookback::Usual => self
                .last_round
                .map_or(0, |previous| previous.saturating_sub(millis(USUAL_DELAY))),
            Lookback::Far => self.far(),
        };
    }

    fn far(&self) -> Millis {
        let Some(previous) = self.last_round else { return 0 };
        let far = previous.saturating_sub(millis(MAX_DELAY));
        self.outage_start.map_or(far, |(from, _)| from.min(far))
    }

    #[must_use]
    pub const fn from(&self) -> Millis {
        self.from
    }

    /// The range as query DSL.
    #[must_use]
    pub fn query(&self) -> Value {
        json!({ "range": { field::EVENT_INGESTED: { "gte": self.from(), "format": "epoch_millis" } } })
    }

    #[must_use]
    pub const fn last_round(&self) -> Option<Millis> {
        self.last_round
    }

    /// The lines of a page that were not delivered.
    #[must_use]
    pub fn undelivered<'p>(&self, page: &'p [Hit]) -> Vec<&'p Hit> {
        page.iter()
            .filter(|hit| !self.delivered.contains_key(&hit.id))
            .collect()
    }

    /// Marks a line as delivered.
    pub fn mark(&mut self, id: String, taken: Millis) {
        if taken >= self.far() {
            self.delivered.insert(id, taken);
        }
    }

    /// Marks a line as delivered.
    pub fn mark_line(&mut self, document: &Document) {
        if let (Some(id), Some(taken)) = (document.id(), document.ingested()) {
            self.mark(id.to_owned(), taken.nanos().div_euclid(1_000_000));
        }
    }

    /// Completes a round that started at `now`, and forgets lines that cannot be found again. If the clock was set back
    /// so far that new lines would be missed, returns the difference.
    pub fn advance(&mut self, now: Option<Millis>) -> Option<Millis> {
        let ahead = self
            .last_round
            .zip(now)
            .map_or(0, |(previous, now)| now.saturating_sub(previous));
        let back = (ahead < -millis(MAX_DELAY)).then_some(-ahead);
        if back.is_some() {
            (self.last_round, self.first_round, self.outage_start) = (now, self.first_round.min(now), None);
        } else {
            self.outage_start = self
                .outage_start
                .filter(|(_, until)| now.is_none_or(|now| now <= *until));
            if let Some(now) = now.filter(|_| ahead > millis(USUAL_DELAY)) {
                self.outage_start = Some((self.far(), now.saturating_add(millis(MAX_DELAY))));
            }
            self.last_round = self.last_round.max(now);
            self.first_round = self.first_round.or(now);
        }
        let far = self.far();
        self.delivered.retain(|_, taken| *taken >= far);
        back
    }

    /// Lines since the first round, and lines of these traces.
    #[must_use]
    pub fn since_start_or_in_traces(&self, traces: &[String]) -> Filter {
        let first_round =
            log_normalizer::Time::from_nanos(self.first_round.unwrap_or(0).saturating_mul(1_000_000));
        let first_round = Literal::new(&first_round.to_string());
        let since = Filter::Compare(field::EVENT_INGESTED.to_owned(), Comparison::AtLeast, first_round);
        let traces = traces
            .iter()
            .map(|trace| Filter::Equals(field::TRACE_ID.to_owned(), Literal::new(trace)));
        Filter::Any(traces.chain([since]).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(id: &str) -> Hit {
        Hit {
            id: id.to_owned(),
            taken: 0,
        }
    }

    const MINUTE: Millis = 60_000;

    fn from(cursor: &mut FeedCursor, lookback: Lookback) -> Millis {
        cursor.begin(lookback);
        cursor.from()
    }

    #[test]
    fn only_findable_ids_are_remembered() {
        let mut cursor = FeedCursor::default();
        cursor.mark("a".into(), 1_000);
        cursor.advance(Some(5_000));
        assert_eq!(from(&mut cursor, Lookback::Usual), 5_000 - millis(USUAL_DELAY));
        assert_eq!(from(&mut cursor, Lookback::Far), 5_000 - millis(MAX_DELAY));
        let page = [hit("a"), hit("b")];
        assert_eq!(cursor.undelivered(&page), [&page[1]]);
        cursor.mark("b".into(), 12_000);
        for seconds in (10..=95).step_by(5) {
            cursor.advance(Some(seconds * 1_000));
        }
        assert_eq!(cursor.undelivered(&page), [&page[0]]);
    }

    #[test]
    fn lookback_covers_an_outage() {
        let mut cursor = FeedCursor::default();
        cursor.advance(Some(10 * MINUTE));
        cursor.mark("a".into(), 10 * MINUTE);
        cursor.advance(Some(30 * MINUTE));
        let before = 10 * MINUTE - millis(MAX_DELAY);
        assert_eq!(from(&mut cursor, Lookback::Far), before);
        assert_eq!(
            from(&mut cursor, Lookback::Usual),
            30 * MINUTE - millis(USUAL_DELAY)
        );
        // A second outage within that time.
        cursor.advance(Some(31 * MINUTE));
        assert_eq!(from(&mut cursor, Lookback::Far), before);
        assert!(cursor.undelivered(&[hit("a")]).is_empty());
        for second in 0..200 {
            cursor.advance(Some(31 * MINUTE + second * 1_000));
        }
        assert!(from(&mut cursor, Lookback::Far) > 31 * MINUTE);
        assert_eq!(cursor.undelivered(&[hit("a")]).len(), 1);
    }

    #[test]
    fn clock_set_back_loses_no_line() {
        let mut cursor = FeedCursor::default();
        assert_eq!(cursor.advance(Some(10 * MINUTE)), None);
        cursor.mark("a".into(), 10 * MINUTE - 1_000);
        // New lines are within the range.
        assert_eq!(cursor.advance(Some(9 * MINUTE)), None);
        assert_eq!(cursor.advance(None), None);
        assert_eq!(cursor.last_round(), Some(10 * MINUTE));
        // From here on, they would not be.
        assert_eq!(cursor.advance(Some(5 * MINUTE)), Some(5 * MINUTE));
        assert_eq!(
            from(&mut cursor, Lookback::Usual),
            5 * MINUTE - millis(USUAL_DELAY)
        );
        assert!(cursor.undelivered(&[hit("a")]).is_empty());
    }
}
