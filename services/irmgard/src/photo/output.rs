//! The anonymised photo's place, the only one that pictures are served from.

use contract::{ObjectLocation, PhotoKey};

use super::row::{Photo, Status};

/// Where an anonymised photo lies.
///
/// Architecture invariant: nothing but this is ever served as a picture, and
/// nothing but [`AnonymizedImage::of`] makes one: an object of the output
/// bucket, at the key that belongs to a photo whose status is `anonymized`.
/// The original's place cannot get in here.
#[derive(Clone, Debug)]
pub struct AnonymizedImage(ObjectLocation);

/// Why there is no picture to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotShown {
    /// The photo is not anonymised.
    NotReady(Status),
    /// The row names a place where no anonymised photo can be.
    WrongPlace,
}

impl AnonymizedImage {
    /// The place of a photo's anonymised picture.
    ///
    /// # Errors
    /// See [`NotShown`].
    pub fn of(photo: &Photo, output_bucket: &str) -> Result<Self, NotShown> {
        if photo.status != Status::Anonymized {
            return Err(NotShown::NotReady(photo.status));
        }
        let location: ObjectLocation = photo
            .output
            .as_deref()
            .and_then(|uri| uri.parse().ok())
            .ok_or(NotShown::WrongPlace)?;
        let own = PhotoKey::parse(location.key())
            .is_some_and(|key| key.id.get() == photo.id && key.anonymized() == location.key());
        if own && location.bucket() == output_bucket {
            Ok(Self(location))
        } else {
            Err(NotShown::WrongPlace)
        }
    }

    /// Bucket and key.
    #[must_use]
    pub const fn location(&self) -> &ObjectLocation {
        &self.0
    }
}
