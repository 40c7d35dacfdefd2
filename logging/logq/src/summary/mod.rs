//! Summaries instead of lines.

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

#[derive(Debug, thiserror::Error)]
pub enum SummaryError {
    /// `--top` without a field.
    #[error("--top: {0:?} is not a field name")]
    Field(String),
    /// A summary always covers all matching lines.
    #[error("--{0} selects a part of the lines, but summaries count all of them: omit it")]
    Part(&'static str),
}

#[derive(Clone, Debug)]
pub enum Summary {
    Stats(Stats),
    Histogram(Histogram),
    Top(Top),
}

impl Summary {
    /// Reads the options; None to show lines. A component named without wildcards has a row even without a line.
    ///
    /// # Errors
    /// [`SummaryError`].
    pub fn from_options(search: &Search) -> Result<Option<Self>, SummaryError> {
        let show = &search.show;
        // `--limit` sets the number of values of `--top`.
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

    /// The field of `--top`, if no line has it.
    #[must_use]
    pub fn missing(&self) -> Option<&str> {
        match self {
            Self::Top(top) if top.is_empty() => Some(top.field()),
            _ => None,
        }
    }

    #[must_use]
    pub fn stats() -> Self {
        Self::Stats(Stats::default())
    }

    /// Adds the counts of another summary by component and level.
    pub fn merge(&mut self, other: Self) {
        if let (Self::Stats(stats), Self::Stats(other)) = (self, other) {
            stats.merge(other);
        }
    }

    pub fn count(&mut self, component: Option<&str>, level: Option<&str>, time: Option<line::Time>) {
        if let Self::Stats(stats) = self {
            stats.add(component, level, 1, time.map(|time| (time, time)));
        }
    }

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

    /// # Errors
    /// An I/O error of the output.
    pub fn write(&self, format: &SummaryFormat, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Stats(stats) => stats.write(format, out),
            Self::Histogram(histogram) => histogram.write(format, out),
            Self::Top(top) => top.write(format, out),
        }
    }
}
