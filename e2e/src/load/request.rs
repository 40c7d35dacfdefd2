//! One request of a load, and its result.

use std::time::Duration;

/// The kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequestKind {
    /// The upload of a new or known photo. Both need the object store and the database.
    Write,
    /// A photo's status, from the database.
    Status,
    /// An anonymised photo, from the database and the object store.
    Image,
}

impl RequestKind {
    pub const ALL: [Self; 3] = [Self::Write, Self::Status, Self::Image];

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Write => "post a photo",
            Self::Status => "get its status",
            Self::Image => "get an image",
        }
    }
}

/// The result of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttemptResult {
    /// An HTTP status.
    Status(u16),
    /// No connection could be made.
    NoConnection,
    /// The connection broke before the complete answer.
    Broken,
    /// No answer in time.
    TimedOut,
}

impl AttemptResult {
    /// Whether the status is 2xx.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Status(200..=299))
    }

    /// The name in reports.
    pub fn name(self) -> String {
        match self {
            Self::Status(status) => status.to_string(),
            Self::NoConnection => "no connection".to_owned(),
            Self::Broken => "connection broke".to_owned(),
            Self::TimedOut => "no answer in time".to_owned(),
        }
    }
}

impl From<&reqwest::Error> for AttemptResult {
    fn from(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::TimedOut
        } else if error.is_connect() {
            Self::NoConnection
        } else {
            Self::Broken
        }
    }
}

/// One request of a load.
#[derive(Clone, Copy, Debug)]
pub struct RequestAttempt {
    pub kind: RequestKind,
    /// The start, since the start of the load.
    pub start: Duration,
    /// Until the complete answer or the failure.
    pub duration: Duration,
    pub result: AttemptResult,
}

impl RequestAttempt {
    /// The end, since the start of the load.
    pub fn end(&self) -> Duration {
        self.start + self.duration
    }
}
