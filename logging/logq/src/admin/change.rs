//! The report of an admin task.

use std::fmt;

/// One object, and what the task did to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// For example `index template irmgard-logs`.
    pub what: String,
    pub action: Action,
}

/// What the task did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The object did not exist.
    Created,
    /// The object was outdated; holds the difference.
    Changed(String),
    Unchanged,
    /// Not changed; holds the reason.
    Skipped(String),
    /// Holds the reason.
    Deleted(String),
    /// A dry run would do this.
    Planned(String),
}

impl Action {
    /// The same action as a plan, for a dry run.
    pub(super) fn planned(self) -> Self {
        match self {
            Self::Created => Self::Planned("be created: it does not exist".into()),
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
            Action::Unchanged => write!(formatter, "unchanged {what}"),
            Action::Skipped(why) => write!(formatter, "skipped   {what}: {why}"),
            Action::Deleted(why) => write!(formatter, "deleted   {what}: {why}"),
            Action::Planned(what_then) => write!(formatter, "planned   {what}: would {what_then}"),
        }
    }
}
