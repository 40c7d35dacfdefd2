//! What was done, for people.

use std::fmt;

/// What became of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it is, as `index template irmgard-logs`.
    pub what: String,
    /// What became of it.
    pub action: Action,
}

/// What became of a thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It was not there.
    Created,
    /// It was otherwise; how.
    Changed(String),
    /// It was as it should be.
    Unchanged,
    /// It stays as it is; why.
    Skipped(String),
    /// It was deleted; why.
    Deleted(String),
    /// It would be changed or deleted, were this no dry run.
    Planned(String),
}

impl Action {
    /// What would be done, told by a dry run in place of what was done.
    pub(super) fn planned(self) -> Self {
        match self {
            Self::Created => Self::Planned("be created: it is not there".into()),
            Self::Changed(how) => Self::Planned(format!("be changed: {how}")),
            other => other,
        }
    }
}

impl Change {
    pub(super) fn new(what: impl Into<String>, action: Action) -> Self {
        Self {
            what: what.into(),
            action,
        }
    }

    /// Whether something is otherwise than before.
    #[must_use]
    pub fn is_change(&self) -> bool {
        matches!(
            self.action,
            Action::Created | Action::Changed(_) | Action::Deleted(_)
        )
    }
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = &self.what;
        match &self.action {
            Action::Created => write!(formatter, "created   {what}"),
            Action::Changed(how) => write!(formatter, "changed   {what}: {how}"),
            Action::Unchanged => write!(formatter, "as it was {what}"),
            Action::Skipped(why) => write!(formatter, "left      {what}: {why}"),
            Action::Deleted(why) => write!(formatter, "deleted   {what}: {why}"),
            Action::Planned(what_then) => write!(formatter, "would     {what}: {what_then}"),
        }
    }
}
