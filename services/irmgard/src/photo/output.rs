//! The anonymised photo's place, the only one that pictures are served from.

use chrono::{DateTime, Utc};
use contract::{ObjectLocation, PhotoId, PhotoKey, ProjectName, location::InvalidLocation};

use super::row::{Photo, Status};

/// Where the anonymised photo of a row belongs: its job says so, no other
/// place is taken from a result, and none is served.
///
/// The day is the one in the original's key; a row whose original is gone has
/// its own.
///
/// # Errors
/// When S3 allows no such bucket.
pub fn output_of(
    output_bucket: &str,
    id: PhotoId,
    project: &ProjectName,
    original: Option<&ObjectLocation>,
    received_at: DateTime<Utc>,
) -> Result<ObjectLocation, InvalidLocation> {
    let key = original
        .and_then(|original| PhotoKey::parse(original.key()))
        .filter(|key| key.id == id && key.project == *project)
        .unwrap_or_else(|| PhotoKey {
            project: project.clone(),
            received_on: received_at.date_naive(),
            id,
        });
    ObjectLocation::new(output_bucket, key.anonymized())
}

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
        own_output(photo, output_bucket)
            .filter(|own| photo.output.as_deref() == Some(own.to_string().as_str()))
            .map(Self)
            .ok_or(NotShown::WrongPlace)
    }

    /// Bucket and key.
    #[must_use]
    pub const fn location(&self) -> &ObjectLocation {
        &self.0
    }
}

fn own_output(photo: &Photo, output_bucket: &str) -> Option<ObjectLocation> {
    let original = photo.original.as_deref().and_then(|uri| uri.parse().ok());
    output_of(
        output_bucket,
        photo.id.try_into().ok()?,
        &photo.project.parse().ok()?,
        original.as_ref(),
        photo.received_at,
    )
    .ok()
}
