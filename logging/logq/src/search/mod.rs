//! Runs a query and shows the result.

mod explain;
mod field_names;
mod files;
mod lines;
mod no_match;
mod option_parsers;
mod options;
mod rendered;
mod selection;
mod traces;

use std::fmt::Display;

pub use self::{
    explain::explain,
    field_names::unknown_field_notes,
    lines::search,
    options::{SearchOptions, SelectOptions, ShowOptions, SourceOptions, TimeOptions},
    selection::{LineLimit, Selection, SelectionWriter},
    traces::traces,
};
use crate::{source::SourceError, summary::SummaryError};

/// Why a search fails.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    #[error(transparent)]
    Summary(#[from] SummaryError),
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The query needs to read standard input twice.
    #[error(
        "--{0} needs two passes over the lines, but standard input is read once: save the input to a file, \
         or name components with -c and traces with --trace"
    )]
    Twice(&'static str),
    /// The query needs to read standard input several times.
    #[error(
        "--{0} with a trace or a photo needs several passes over the lines, but standard input is read once: \
         save the input to a file, or omit the option"
    )]
    TooOften(&'static str),
    /// No thread or signal handler.
    #[error("cannot start a thread or handle signals: {0}")]
    System(std::io::Error),
    /// Cannot write the output.
    #[error("output: {0}")]
    Output(#[from] std::io::Error),
}

pub const EXIT_NO_MATCH: u8 = 1;

/// The report of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunReport {
    pub found: u64,
    /// Shown or counted lines.
    pub shown: u64,
    /// Notes for the user.
    pub notes: Vec<String>,
    /// Sources that were not read completely.
    pub errors: Vec<String>,
    /// The exit status, unless the number of lines determines it.
    pub status: Option<u8>,
}

impl RunReport {
    /// The report of a command that is not a search.
    #[must_use]
    pub fn success() -> Self {
        Self {
            found: 1,
            shown: 1,
            ..Self::default()
        }
    }

    /// Adds an error, once.
    pub fn add_error(&mut self, error: &dyn Display) {
        let error = error.to_string();
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }
}
