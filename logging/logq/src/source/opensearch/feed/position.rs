//! Up to where lines have been given, by OpenSearch's clock.

use std::collections::HashMap;

use line::Document;
use schema::field;
use serde_json::{Value, json};

use super::{OVERLAP, recent::Hit};
use crate::filter::{Comparison, Filter, Literal};

/// Milliseconds since 1970, as OpenSearch has them in its index.
pub type Millis = i64;

/// Up to where lines have been given.
#[derive(Debug, Default)]
pub struct Position {
    /// When the first round was asked.
    begun: Option<Millis>,
    /// When the last whole round was asked; none before the first, and where
    /// there was no stream yet.
    asked: Option<Millis>,
    /// What can be found again, and when it was taken.
    given: HashMap<String, Millis>,
}

const fn overlap() -> Millis {
    // Ten seconds fit.
    OVERLAP.as_millis() as Millis
}

impl Position {
    /// From when on lines may be new.
    #[must_use]
    pub fn from(&self) -> Millis {
        self.asked.map_or(0, |asked| asked.saturating_sub(overlap()))
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
        if taken >= self.from() {
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
    /// forgotten.
    pub fn advance(&mut self, now: Option<Millis>) {
        // The clock may have been set back: what was given stays known.
        self.asked = self.asked.max(now);
        self.begun = self.begun.or(now);
        let from = self.from();
        self.given.retain(|_, taken| *taken >= from);
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

    #[test]
    fn what_can_be_found_again_is_known_and_the_rest_forgotten() {
        let mut position = Position::default();
        position.mark("a".into(), 1_000);
        position.advance(Some(5_000));
        assert_eq!(position.from(), 5_000 - overlap());
        let page = [hit("a"), hit("b")];
        assert_eq!(position.unknown(&page), [&page[1]]);
        position.mark("b".into(), 12_000);
        position.advance(Some(20_000));
        assert_eq!(position.unknown(&page), [&page[0]]);
    }

    #[test]
    fn a_clock_that_goes_back_takes_nothing_with_it() {
        let mut position = Position::default();
        position.advance(Some(50_000));
        position.advance(Some(20_000));
        position.advance(None);
        assert_eq!(position.asked(), Some(50_000));
    }
}
