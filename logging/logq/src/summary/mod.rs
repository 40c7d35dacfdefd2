//! Numbers in place of lines.

mod format;
mod histogram;
mod stats;
mod top;

use std::io::{self, Write};

use line::Document;

pub use self::{
    format::SummaryFormat,
    histogram::{Histogram, WARN_OR_ERROR},
    stats::{NO_COMPONENT, Stats},
    top::Top,
};
use crate::cli::Search;

/// A summary that is none.
#[derive(Debug, thiserror::Error)]
pub enum SummaryError {
    /// `--top` without a field.
    #[error("--top: {0:?} is no field's name")]
    Field(String),
    /// Numbers are of all lines that were found.
    #[error("--{0} chooses among lines, and numbers are of all of them: leave it out")]
    Part(&'static str),
}

/// What is counted.
#[derive(Clone, Debug)]
pub enum Summary {
    /// Lines by component and level.
    Stats(Stats),
    /// Lines over time.
    Histogram(Histogram),
    /// The most frequent values of a field.
    Top(Top),
}

impl Summary {
    /// Reads the options; none where lines are to be shown. A component that
    /// is named, and not by a pattern, has its row also without a line.
    ///
    /// # Errors
    /// [`SummaryError`].
    pub fn from_options(search: &Search) -> Result<Option<Self>, SummaryError> {
        let show = &search.show;
        // `--top` shows so many values.
        let part = show
            .limiting_option()
            .filter(|part| show.top.is_none() || *part != "limit");
        if let Some(part) = part.filter(|_| show.stats || show.histogram || show.top.is_some()) {
            return Err(SummaryError::Part(part));
        }
        if show.stats {
            let named = search.select.components.iter().map(String::as_str);
            let named = named.filter(|name| !name.contains(['*', '?']));
            return Ok(Some(Self::Stats(Stats::with_components(named))));
        }
        if show.histogram {
            return Ok(Some(Self::Histogram(Histogram::default())));
        }
        let Some(field) = &show.top else { return Ok(None) };
        if field.trim().is_empty() {
            return Err(SummaryError::Field(field.clone()));
        }
        Ok(Some(Self::Top(Top::new(field.trim().to_owned(), show.limit))))
    }

    /// The field of `--top`, where no line had it.
    #[must_use]
    pub fn missing(&self) -> Option<&str> {
        match self {
            Self::Top(top) if top.is_empty() => Some(top.field()),
            _ => None,
        }
    }

    /// Lines by component and level.
    #[must_use]
    pub fn stats() -> Self {
        Self::Stats(Stats::default())
    }

    /// Adds what was counted elsewhere by component and level.
    pub fn merge(&mut self, other: Self) {
        if let (Self::Stats(stats), Self::Stats(other)) = (self, other) {
            stats.merge(other);
        }
    }

    /// Counts a line by component and level.
    pub fn count(&mut self, component: Option<&str>, level: Option<&str>, time: Option<line::Time>) {
        if let Self::Stats(stats) = self {
            stats.add(component, level, 1, time.map(|time| (time, time)));
        }
    }

    /// Counts a line.
    pub fn add(&mut self, document: &Document) {
        match self {
            Self::Stats(_) => self.count(document.component(), document.level(), document.timestamp()),
            Self::Histogram(histogram) => {
                let warn_or_error = document
                    .level()
                    .is_some_and(|level| WARN_OR_ERROR.contains(&level));
                histogram.add(document.timestamp(), 1, u64::from(warn_or_error));
            }
            Self::Top(top) => {
                if let Some(value) = document.get(top.field()) {
                    top.add(value, 1);
                }
            }
        }
    }

    /// Writes what was counted.
    ///
    /// # Errors
    /// The output's.
    pub fn write(&self, format: &SummaryFormat, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Stats(stats) => stats.write(format, out),
            Self::Histogram(histogram) => histogram.write(format, out),
            Self::Top(top) => top.write(format, out),
        }
    }
}
