//! The location of an object: bucket and key, in two notations.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// S3's limit on a key.
const MAX_KEY_BYTES: usize = 1024;

/// An object in the object store, written `s3://bucket/key` in messages.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectLocation {
    bucket: String,
    key: String,
}

/// The text is not a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLocation {
    /// Neither `s3://bucket/key` nor `bucket/key`.
    #[error("a location is written s3://bucket/key")]
    Shape,
    /// Not a key of [`ObjectLocation::new`].
    #[error(
        "an object key has 1 to 1024 bytes, no control characters or backslashes, and no part between slashes that is empty, '.' or '..'"
    )]
    Key,
    /// S3's bucket naming rules: 3 to 63 of `a-z 0-9 . -`, a letter or digit at both ends, no two dots together.
    #[error(
        "a bucket name has 3 to 63 lower-case letters, digits, '.' or '-', and begins and ends with a letter or digit"
    )]
    Bucket,
}

impl ObjectLocation {
    /// An object by bucket and key.
    ///
    /// S3 allows any 1 to 1024 bytes of UTF-8 as a key. But many servers and proxies read a key as a path, in which
    /// `a/../b` is `b` or even another bucket. So a key must be unambiguous.
    ///
    /// # Errors
    /// S3 does not allow the bucket's name, or the key is invalid or ambiguous.
    pub fn new(bucket: impl Into<String>, key: impl Into<String>) -> Result<Self, InvalidLocation> {
        let (bucket, key) = (bucket.into(), key.into());
        if !is_bucket_name(&bucket) {
            return Err(InvalidLocation::Bucket);
        }
        if !is_unambiguous_key(&key) {
            return Err(InvalidLocation::Key);
        }
        Ok(Self { bucket, key })
    }

    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// `bucket/key`, the legacy web service's `storage_location`.
    #[must_use]
    pub fn storage_location(&self) -> String {
        format!("{}/{}", self.bucket, self.key)
    }

    /// Reads `bucket/key`.
    ///
    /// # Errors
    /// There is no slash, or as [`ObjectLocation::new`].
    pub fn from_storage_location(text: &str) -> Result<Self, InvalidLocation> {
        let (bucket, key) = text.split_once('/').ok_or(InvalidLocation::Shape)?;
        Self::new(bucket, key)
    }
}

/// Leading, trailing and double slashes make empty parts; the empty key is one.
fn is_unambiguous_key(key: &str) -> bool {
    key.len() <= MAX_KEY_BYTES
        && !key.chars().any(|c| c.is_control() || c == '\\')
        && key.split('/').all(|part| !matches!(part, "" | "." | ".."))
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
