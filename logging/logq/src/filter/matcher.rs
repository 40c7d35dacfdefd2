//! Finds the lines that match, as records where that is faster.

use log_normalizer::{Document, Origin, RawLine, Record, json::Arena, normalize};

use super::{Filter, Lack};

/// Tests lines.
pub struct Matcher {
    filter: Filter,
    /// Whether a record has all fields of the filter.
    can_use_records: bool,
}

/// A line that matches.
pub enum Match<'a> {
    Record(Record<'a>),
    Document(Document),
}

impl Matcher {
    #[must_use]
    pub fn new(filter: Filter) -> Self {
        Self {
            can_use_records: filter.uses_only(&Record::has_field),
            filter,
        }
    }

    /// Tests a line.
    ///
    /// # Errors
    /// It does not match. What it lacks, if it would match otherwise.
    pub fn find<'a>(
        &self,
        line: &'a RawLine<'_>,
        origin: &'a Origin,
        arena: &'a Arena,
    ) -> Result<Match<'a>, Option<Lack>> {
        if self.can_use_records
            && let Some(record) = Record::read(line, origin, arena)
        {
            return if self.filter.matches(&record) {
                Ok(Match::Record(record))
            } else {
                Err(self.filter.lack(&record))
            };
        }
        let document = normalize(line, origin);
        if self.filter.matches(&document) {
            Ok(Match::Document(document))
        } else {
            Err(self.filter.lack(&document))
        }
    }
}

impl Match<'_> {
    /// The line's document.
    #[must_use]
    pub fn into_document(self) -> Document {
        match self {
            Self::Record(record) => record.to_document(),
            Self::Document(document) => document,
        }
    }
}
