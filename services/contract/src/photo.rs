//! Identifiers of photos and timelapse projects.

use std::{fmt, num::NonZeroI64, str::FromStr};

use serde::{Deserialize, Serialize};

/// A photo's number: positive, from the sequence of the table `photo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct PhotoId(NonZeroI64);

/// The text or number is not a photo id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a photo id is a whole number from 1 to {}", i64::MAX)]
pub struct InvalidPhotoId;

impl PhotoId {
    /// The id as PostgreSQL's `bigint`.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0.get()
    }
}

impl TryFrom<i64> for PhotoId {
    type Error = InvalidPhotoId;

    fn try_from(id: i64) -> Result<Self, InvalidPhotoId> {
        NonZeroI64::new(id)
            .filter(|id| id.get() > 0)
            .map(Self)
            .ok_or(InvalidPhotoId)
    }
}

impl From<PhotoId> for i64 {
    fn from(id: PhotoId) -> Self {
        id.get()
    }
}

impl FromStr for PhotoId {
    type Err = InvalidPhotoId;

    fn from_str(text: &str) -> Result<Self, InvalidPhotoId> {
        let canonical = !text.starts_with(['+', '0']);
        text.parse::<i64>()
            .ok()
            .filter(|_| canonical)
            .ok_or(InvalidPhotoId)
            .and_then(Self::try_from)
    }
}

impl fmt::Display for PhotoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of a timelapse project: 1 to 64 of `A-Z a-z 0-9 . _ -`, beginning with a letter or digit.
///
/// It is a part of object keys and URLs, so it contains nothing that needs escaping, and no parent folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProjectName(String);

/// The text is not a project name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a project name is 1 to 64 letters, digits, '.', '_' or '-' and begins with a letter or digit")]
pub struct InvalidProjectName;

impl ProjectName {
    /// The project of photos from `POST /`, which names no project.
    #[must_use]
    pub fn default_project() -> Self {
        Self("default".to_owned())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ProjectName {
    type Error = InvalidProjectName;

    fn try_from(name: String) -> Result<Self, InvalidProjectName> {
        let has_valid_start = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if has_valid_start && name.len() <= 64 && name.bytes().all(allowed) {
            Ok(Self(name))
        } else {
            Err(InvalidProjectName)
        }
    }
}

impl FromStr for ProjectName {
    type Err = InvalidProjectName;

    fn from_str(name: &str) -> Result<Self, InvalidProjectName> {
        Self::try_from(name.to_owned())
    }
}

impl From<ProjectName> for String {
    fn from(name: ProjectName) -> Self {
        name.0
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
