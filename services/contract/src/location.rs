//! Where an object lies: bucket and key, and the two ways to write that.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// An object in the object store, written `s3://bucket/key` in messages.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectLocation {
    bucket: String,
    key: String,
}

/// The text names no object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLocation {
    /// Neither `s3://bucket/key` nor `bucket/key`.
    #[error("a location is written s3://bucket/key")]
    Shape,
    /// S3 takes keys of 1 to 1024 bytes of UTF-8.
    #[error("an object key has 1 to 1024 bytes and no control characters")]
    Key,
    /// S3's bucket naming rules: 3 to 63 of `a-z 0-9 . -`, a letter or digit
    /// at both ends, no two dots together.
    #[error(
        "a bucket name has 3 to 63 lower-case letters, digits, '.' or '-', and begins and ends with a letter or digit"
    )]
    Bucket,
}

impl ObjectLocation {
    /// An object by bucket and key.
    ///
    /// # Errors
    /// When S3 allows no such bucket or key.
    pub fn new(bucket: impl Into<String>, key: impl Into<String>) -> Result<Self, InvalidLocation> {
        let (bucket, key) = (bucket.into(), key.into());
        if !is_bucket_name(&bucket) {
            return Err(InvalidLocation::Bucket);
        }
        if !(1..=1024).contains(&key.len()) || key.chars().any(char::is_control) {
            return Err(InvalidLocation::Key);
        }
        Ok(Self { bucket, key })
    }

    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The object's key within the bucket.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// `bucket/key`, the given web service's `storage_location`.
    #[must_use]
    pub fn storage_location(&self) -> String {
        format!("{}/{}", self.bucket, self.key)
    }

    /// Reads `bucket/key`.
    ///
    /// # Errors
    /// When there is no slash, or S3 allows no such bucket or key.
    pub fn from_storage_location(text: &str) -> Result<Self, InvalidLocation> {
        let (bucket, key) = text.split_once('/').ok_or(InvalidLocation::Shape)?;
        Self::new(bucket, key)
    }
}

fn is_bucket_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = [name.bytes().next(), name.bytes().next_back()];
    (3..=63).contains(&name.len())
        && name.bytes().all(|b| plain(b) || matches!(b, b'.' | b'-'))
        && ends.into_iter().flatten().all(plain)
        && !name.contains("..")
}

impl FromStr for ObjectLocation {
    type Err = InvalidLocation;

    fn from_str(text: &str) -> Result<Self, InvalidLocation> {
        Self::from_storage_location(text.strip_prefix("s3://").ok_or(InvalidLocation::Shape)?)
    }
}

impl TryFrom<String> for ObjectLocation {
    type Error = InvalidLocation;

    fn try_from(text: String) -> Result<Self, InvalidLocation> {
        text.parse()
    }
}

impl From<ObjectLocation> for String {
    fn from(location: ObjectLocation) -> Self {
        location.to_string()
    }
}

impl fmt::Display for ObjectLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}
