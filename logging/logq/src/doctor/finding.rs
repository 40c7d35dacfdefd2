//! The result of a check.

use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckStatus {
    Ok,
    /// Not checked, and not required.
    Skip,
    /// Needs attention.
    Warn,
    /// Lines are lost, late or unsearchable.
    Fail,
}

impl CheckStatus {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skip => "skip",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub status: CheckStatus,
    /// The subject of the check.
    pub what: String,
    /// What the check observed.
    pub detail: String,
    /// What to do.
    pub remedy: Option<String>,
}

impl Finding {
    pub fn ok(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            status: CheckStatus::Ok,
            what: what.into(),
            detail: detail.into(),
            remedy: None,
        }
    }

    fn not_ok(status: CheckStatus, what: impl Into<String>, detail: impl Into<String>, remedy: &str) -> Self {
        Self {
            status,
            remedy: Some(remedy.to_owned()),
            ..Self::ok(what, detail)
        }
    }

    pub fn skip(what: impl Into<String>, detail: impl Into<String>, remedy: impl AsRef<str>) -> Self {
        Self::not_ok(CheckStatus::Skip, what, detail, remedy.as_ref())
    }

    pub fn warn(what: impl Into<String>, detail: impl Into<String>, remedy: impl AsRef<str>) -> Self {
        Self::not_ok(CheckStatus::Warn, what, detail, remedy.as_ref())
    }

    pub fn fail(what: impl Into<String>, detail: impl Into<String>, remedy: impl AsRef<str>) -> Self {
        Self::not_ok(CheckStatus::Fail, what, detail, remedy.as_ref())
    }

    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "state": self.status.name().to_ascii_lowercase(),
            "what": self.what,
            "detail": self.detail,
            "remedy": self.remedy,
        })
    }
}
