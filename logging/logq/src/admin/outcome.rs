//! What was done, for people.

use std::fmt;

/// What became of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What it is, as `index template irmgard-logs`.
    pub what: String,
    /// What became of it.
    pub state: State,
}

/// What became of a thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It was not there.
    Created,
    /// It was otherwise; how.
    Changed(String),
    /// It was as it should be.
    Same,
    /// It stays as it is; why.
    Left(String),
    /// It was deleted; why.
    Deleted(String),
    /// It would be changed or deleted, were this no dry run.
    Would(String),
}

impl State {
    /// What would be done, told by a dry run in place of what was done.
    pub(super) fn would(self) -> Self {
        match self {
            Self::Created => Self::Would("be created: it is not there".into()),
            Self::Changed(how) => Self::Would(format!("be changed: {how}")),
            other => other,
        }
    }
}

impl Outcome {
    pub(super) fn new(what: impl Into<String>, state: State) -> Self {
        Self {
            what: what.into(),
            state,
        }
    }

    /// Whether something is otherwise than before.
    #[must_use]
    pub fn is_change(&self) -> bool {
        matches!(self.state, State::Created | State::Changed(_) | State::Deleted(_))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = &self.what;
        match &self.state {
            State::Created => write!(formatter, "created   {what}"),
            State::Changed(how) => write!(formatter, "changed   {what}: {how}"),
            State::Same => write!(formatter, "as it was {what}"),
            State::Left(why) => write!(formatter, "left      {what}: {why}"),
            State::Deleted(why) => write!(formatter, "deleted   {what}: {why}"),
            State::Would(what_then) => write!(formatter, "would     {what}: {what_then}"),
        }
    }
}
