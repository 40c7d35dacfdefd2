//! Up to where lines have been given, by OpenSearch's clock.

use std::{collections::HashMap, time::Duration};

use line::Document;
use schema::field;
use serde_json::{Value, json};

use super::{LONGEST, USUAL, recent::Hit};
use crate::filter::{Comparison, Filter, Literal};

/// Milliseconds since 1970, as OpenSearch has them in its index.
pub type Millis = i64;

/// How far back rounds look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// As far as lines usually need.
    Usual,
    /// As far as lines may need.
    Far,
}

/// Up to where lines have been given.
#[derive(Debug, Default)]
pub struct Position {
    /// When the first round was asked.
    begun: Option<Millis>,
    /// When the last whole round was asked; none before the first, and where
    /// there was no stream yet.
    asked: Option<Millis>,
    /// Far rounds look back to there, whatever the clock says, until then:
    /// what waited through an outage was stamped before it.
    held: Option<(Millis, Millis)>,
    /// From when on this round looks.
    from: Millis,
    /// What can be found again, and when it was taken.
    given: HashMap<String, Millis>,
}

const fn millis(duration: Duration) -> Millis {
    // Minutes fit.
    duration.as_millis() as Millis
}

impl Position {
    /// A round begins, that looks so far back.
    pub fn begin(&mut self, reach: Reach) {
        self.from = match reach {
            Reach::Usual => self.asked.map_or(0, |asked| asked.saturating_sub(millis(USUAL))),
            Reach::Far => self.far(),
        };
    }

    fn far(&self) -> Millis {
        let Some(asked) = self.asked else { return 0 };
        let far = asked.saturating_sub(millis(LONGEST));
        self.held.map_or(far, |(from, _)| from.min(far))
    }

    /// From when on lines may be new.
    #[must_use]
    pub const fn from(&self) -> Millis {
        self.from
    }

    /// The same as OpenSearch's query: lines that were taken since.
    #[must_use]
    pub fn query(&self) -> Value {
        json!({ "range": { field::EVENT_INGESTED: { "gte": self.from(), "format": "epoch_millis" } } })
    }

    /// When the last whole round was asked.
    #[must_use]
    pub const fn asked(&self) -> Option<Millis> {
        self.asked
    }

    /// Those of a page that have not been given.
    #[must_use]
    pub fn unknown<'p>(&self, page: &'p [Hit]) -> Vec<&'p Hit> {
        page.iter()
            .filter(|hit| !self.given.contains_key(&hit.id))
            .collect()
    }

    /// This line is given.
    pub fn mark(&mut self, id: String, taken: Millis) {
        if taken >= self.far() {
            self.given.insert(id, taken);
        }
    }

    /// This line is given.
    pub fn mark_line(&mut self, document: &Document) {
        if let (Some(id), Some(taken)) = (document.id(), document.ingested()) {
            self.mark(id.to_owned(), taken.nanos().div_euclid(1_000_000));
        }
    }

    /// A round is whole that was asked then. What cannot be found again is
    /// forgotten. Returns how far the clock was set back, where that is so far
    /// that what is taken from now on would not be found.
    pub fn advance(&mut self, now: Option<Millis>) -> Option<Millis> {
        let ahead = self
            .asked
            .zip(now)
            .map_or(0, |(asked, now)| now.saturating_sub(asked));
        let back = (ahead < -millis(LONGEST)).then_some(-ahead);
        if back.is_some() {
            (self.asked, self.begun, self.held) = (now, self.begun.min(now), None);
        } else {
            self.held = self.held.filter(|(_, until)| now.is_none_or(|now| now <= *until));
            if let Some(now) = now.filter(|_| ahead > millis(USUAL)) {
                self.held = Some((self.far(), now.saturating_add(millis(LONGEST))));
            }
            self.asked = self.asked.max(now);
            self.begun = self.begun.or(now);
        }
        let far = self.far();
        self.given.retain(|_, taken| *taken >= far);
        back
    }

    /// Lines that were taken since the first round, and those of traces.
    #[must_use]
    pub fn since_the_beginning(&self, traces: &[String]) -> Filter {
        let begun = line::Time::from_nanos(self.begun.unwrap_or(0).saturating_mul(1_000_000));
        let begun = Literal::new(&begun.to_string());
        let since = Filter::Compare(field::EVENT_INGESTED.to_owned(), Comparison::AtLeast, begun);
        let traces = traces
            .iter()
            .map(|trace| Filter::Is(field::TRACE_ID.to_owned(), Literal::new(trace)));
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

    fn from(position: &mut Position, reach: Reach) -> Millis {
        position.begin(reach);
        position.from()
    }

    #[test]
    fn what_can_be_found_again_is_known_and_the_rest_forgotten() {
        let mut position = Position::default();
        position.mark("a".into(), 1_000);
        position.advance(Some(5_000));
        assert_eq!(from(&mut position, Reach::Usual), 5_000 - millis(USUAL));
        assert_eq!(from(&mut position, Reach::Far), 5_000 - millis(LONGEST));
        let page = [hit("a"), hit("b")];
        assert_eq!(position.unknown(&page), [&page[1]]);
        position.mark("b".into(), 12_000);
        for seconds in (10..=95).step_by(5) {
            position.advance(Some(seconds * 1_000));
        }
        assert_eq!(position.unknown(&page), [&page[0]]);
    }

    #[test]
    fn after_an_outage_it_is_looked_back_to_before_it_for_a_while() {
        let mut position = Position::default();
        position.advance(Some(10 * MINUTE));
        position.mark("a".into(), 10 * MINUTE);
        position.advance(Some(30 * MINUTE));
        let before = 10 * MINUTE - millis(LONGEST);
        assert_eq!(from(&mut position, Reach::Far), before);
        assert_eq!(from(&mut position, Reach::Usual), 30 * MINUTE - millis(USUAL));
        // A second one, within that time.
        position.advance(Some(31 * MINUTE));
        assert_eq!(from(&mut position, Reach::Far), before);
        assert!(position.unknown(&[hit("a")]).is_empty());
        for second in 0..200 {
            position.advance(Some(31 * MINUTE + second * 1_000));
        }
        assert!(from(&mut position, Reach::Far) > 31 * MINUTE);
        assert_eq!(position.unknown(&[hit("a")]).len(), 1);
    }

    #[test]
    fn a_clock_that_goes_back_takes_nothing_with_it() {
        let mut position = Position::default();
        assert_eq!(position.advance(Some(10 * MINUTE)), None);
        position.mark("a".into(), 10 * MINUTE - 1_000);
        // What is taken from now on is found where one is.
        assert_eq!(position.advance(Some(9 * MINUTE)), None);
        assert_eq!(position.advance(None), None);
        assert_eq!(position.asked(), Some(10 * MINUTE));
        // And from here on it would not be.
        assert_eq!(position.advance(Some(5 * MINUTE)), Some(5 * MINUTE));
        assert_eq!(from(&mut position, Reach::Usual), 5 * MINUTE - millis(USUAL));
        assert!(position.unknown(&[hit("a")]).is_empty());
    }
}
