//! What a check has found.

use serde_json::{Value, json};

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckStatus {
    /// As it should be.
    Ok,
    /// It could not be looked at, and need not be.
    Skip,
    /// Somebody should look at it.
    Warn,
    /// Lines are lost, late or cannot be found.
    Fail,
}

impl CheckStatus {
    /// As it is written.
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

/// What a check has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How it is.
    pub status: CheckStatus,
    /// What was looked at.
    pub what: String,
    /// What was seen.
    pub detail: String,
    /// What to do.
    pub remedy: Option<String>,
}

impl Finding {
    /// All is well.
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

    /// It could not be looked at.
    pub fn skip(what: impl Into<String>, detail: impl Into<String>, remedy: impl AsRef<str>) -> Self {
        Self::not_ok(CheckStatus::Skip, what, detail, remedy.as_ref())
    }

    /// Somebody should look at it.
    pub fn warn(what: impl Into<String>, detail: impl Into<String>, remedy: impl AsRef<str>) -> Self {
        Self::not_ok(CheckStatus::Warn, what, detail, remedy.as_ref())
    }

    /// It is broken.
    pub fn fail(what: impl Into<String>, detail: impl Into<String>, remedy: impl AsRef<str>) -> Self {
        Self::not_ok(CheckStatus::Fail, what, detail, remedy.as_ref())
    }

    /// The same for programs.
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
