//! Summaries instead of lines.

mod format;
mod histogram;
mod stats;
mod top;

use std::io::{self, Write};

use log_normalizer::Document;

pub use self::{
    format::SummaryFormat,
    histogram::{Histogram, WARN_OR_ERROR},
    stats::{NO_COMPONENT, Stats},
    top::Top,
};

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

    pub fn count(
        &mut self,
        component: Option<&str>,
        level: Option<&str>,
        time: Option<log_normalizer::Time>,
    ) {
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
