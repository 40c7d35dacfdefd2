//! Errors in the query options.

use crate::cli::{condition::ConditionError, selector::SelectorError, time::TimeError};

#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    #[error("-f: {0}")]
    Condition(#[from] ConditionError),
    #[error("--selector: {0}")]
    Selector(#[from] SelectorError),
    #[error("--{option}: {error}")]
    Time { option: &'static str, error: TimeError },
    /// `--around` with a `--since` that is not a duration.
    #[error("--since {0:?} beside --around is no length of time: write 30s, 15m or 2h")]
    NoLength(String),
    #[error("--{option}: {pattern:?} is no regular expression: {why}")]
    Pattern {
        option: &'static str,
        pattern: String,
        why: String,
    },
    #[error("--{option}: {pattern:?} is no pattern: {why}")]
    Glob {
        option: &'static str,
        pattern: String,
        why: String,
    },
    #[error(
        "--trace: {0:?} is no trace id: these are 32 hexadecimal digits; their beginning will do, from 8 on"
    )]
    Trace(String),
    /// `logq trace` without an id.
    #[error(
        "which trace? logq trace ID, with 32 hexadecimal digits or the first 8, or logq trace --photo ID"
    )]
    NoTrace,
    /// A waterfall shows the whole trace.
    #[error("a waterfall shows the whole trace: leave --{0} out, or ask for lines with `logq --trace ID`")]
    Whole(&'static str),
    /// `--with-…` without a component, photo or trace.
    #[error(
        "--{0} says whose lines beside those of a component: name it with -c, or ask for --photo or --trace"
    )]
    UsesOfNothing(&'static str),
    /// The range ends before it starts.
    #[error("--until {until} is before --since {since}")]
    Backwards { since: String, until: String },
}
