//! What became of a request.

use std::time::Duration;

/// What a request asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A photo was posted: a new one, or one that is known. Both go the whole
    /// way, through the object store and the database.
    Write,
    /// Where a photo is on its way: the database.
    Status,
    /// An anonymised photo: the database and the object store.
    Image,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Write, Self::Status, Self::Image];

    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Write => "post a photo",
            Self::Status => "ask for its state",
            Self::Image => "fetch an image",
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// With this HTTP status.
    Status(u16),
    /// No connection could be made.
    NoConnection,
    /// The connection broke before the answer was there.
    Broken,
    /// No answer in time.
    TimedOut,
}

impl Outcome {
    /// Whether it is 2xx.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Status(200..=299))
    }

    /// For people.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Status(status) => status.to_string(),
            Self::NoConnection => "no connection".to_owned(),
            Self::Broken => "connection broke".to_owned(),
            Self::TimedOut => "no answer in time".to_owned(),
        }
    }
}

impl From<&reqwest::Error> for Outcome {
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

/// A request and its end.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// What it asked for.
    pub kind: Kind,
    /// When it began, since the load did.
    pub began: Duration,
    /// Until its answer was there whole, or it was given up.
    pub took: Duration,
    /// How it ended.
    pub outcome: Outcome,
}

impl Attempt {
    /// When it ended.
    #[must_use]
    pub fn ended(&self) -> Duration {
        self.began + self.took
    }
}
