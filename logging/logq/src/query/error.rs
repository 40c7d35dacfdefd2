//! Errors in the query options.

use crate::{
    filter::{condition::ConditionError, selector::SelectorError},
    time::TimeError,
};

#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    #[error("-f: {0}")]
    Condition(#[from] ConditionError),
    #[error("--selector: {0}")]
    Selector(#[from] SelectorError),
    #[error("--{option}: {error}")]
    Time { option: &'static str, error: TimeError },
    /// `--around` with a `--since` that is not a duration.
    #[error("with --around, --since must be a duration such as 30s, 15m or 2h, not {0:?}")]
    NoLength(String),
    #[error("--{option}: invalid regular expression {pattern:?}: {why}")]
    Pattern {
        option: &'static str,
        pattern: String,
        why: String,
    },
    #[error("--{option}: invalid pattern {pattern:?}: {why}")]
    Glob {
        option: &'static str,
        pattern: String,
        why: String,
    },
    #[error("--trace: {0:?} is not a trace id: write 32 hexadecimal digits, or at least the first 8")]
    Trace(String),
    /// `logq trace` without an id.
    #[error(
        "no trace given: use `logq trace ID`, with 32 hexadecimal digits or the first 8, or `logq trace \
         --photo ID`"
    )]
    NoTrace,
    /// A waterfall shows the whole trace.
    #[error("a waterfall shows the whole trace: omit --{0}, or list lines with `logq --trace ID`")]
    Whole(&'static str),
    /// `--with-…` without a component, photo or trace.
    #[error("--{0} adds dependencies of a component: name it with -c, or use --photo or --trace")]
    UsesOfNothing(&'static str),
    /// The range ends before it starts.
    #[error("--until {until} is before --since {since}")]
    Backwards { since: String, until: String },
}
