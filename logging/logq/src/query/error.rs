//! Why a command line asks for nothing that can be looked for.

use crate::cli::{condition::ConditionError, selector::SelectorError, time::TimeError};

/// Why a command line asks for nothing that can be looked for.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// A condition on a field.
    #[error("-f: {0}")]
    Condition(#[from] ConditionError),
    /// A selector.
    #[error("--selector: {0}")]
    Selector(#[from] SelectorError),
    /// A time.
    #[error("--{option}: {error}")]
    Time {
        /// The option.
        option: &'static str,
        /// What is wrong.
        error: TimeError,
    },
    /// `--around` with a `--since` that is no length of time.
    #[error("--since {0:?} beside --around is no length of time: write 30s, 15m or 2h")]
    NoLength(String),
    /// A regular expression.
    #[error("--{option}: {pattern:?} is no regular expression: {why}")]
    Pattern {
        /// The option.
        option: &'static str,
        /// What was typed.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// A pattern with `*` and `?`.
    #[error("--{option}: {pattern:?} is no pattern: {why}")]
    Glob {
        /// The option.
        option: &'static str,
        /// What was typed.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// A trace id.
    #[error(
        "--trace: {0:?} is no trace id: these are 32 hexadecimal digits; their beginning will do, from 8 on"
    )]
    Trace(String),
    /// `logq trace` alone.
    #[error(
        "which trace? logq trace ID, with 32 hexadecimal digits or the first 8, or logq trace --photo ID"
    )]
    NoTrace,
    /// A waterfall shows all of a trace.
    #[error("a waterfall shows the whole trace: leave --{0} out, or ask for lines with `logq --trace ID`")]
    Whole(&'static str),
    /// `--with-…` without a component that uses something.
    #[error(
        "--{0} says whose lines beside those of a component: name it with -c, or ask for --photo or --trace"
    )]
    UsesOfNothing(&'static str),
    /// The window ends before it begins.
    #[error("--until {until} is before --since {since}")]
    Backwards {
        /// The beginning, as it was typed.
        since: String,
        /// The end.
        until: String,
    },
}
