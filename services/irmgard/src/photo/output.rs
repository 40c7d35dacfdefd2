//! The location of an anonymised photo: the only location that images are served from.

use chrono::{DateTime, Utc};
use contract::{ObjectLocation, PhotoId, PhotoKey, ProjectName, location::InvalidLocation};

use super::row::{Photo, Status};

/// The output location of a photo. Jobs name it, results must name it, and images are served from it only.
///
/// The day is the one in the original's key, or that of `received_at` if the original is gone.
///
/// # Errors
/// S3 does not allow such a bucket name.
pub fn output_location(
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

/// The location of an anonymised photo.
///
/// Architecture invariant: nothing else is ever served as an image, and only [`AnonymizedImage::for_photo`]
/// creates one. It is an object of the output bucket, at the key of a photo whose status is `anonymized`. An
/// original's location cannot become one.
#[derive(Clone, Debug)]
pub struct AnonymizedImage(ObjectLocation);

/// Why a photo has no image to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageUnavailable {
    NotReady(Status),
    /// The row names a location that is not this photo's own output.
    WrongLocation,
}

impl AnonymizedImage {
    /// The image of an anonymised photo.
    pub fn for_photo(photo: &Photo, output_bucket: &str) -> Result<Self, ImageUnavailable> {
        if photo.status != Status::Anonymized {
            return Err(ImageUnavailable::NotReady(photo.status));
        }
        expected_output(photo, output_bucket)
            .filter(|expected| photo.output.as_deref() == Some(expected.to_string().as_str()))
            .map(Self)
            .ok_or(ImageUnavailable::WrongLocation)
    }

    #[must_use]
    pub const fn location(&self) -> &ObjectLocation {
        &self.0
    }
}

fn expected_output(photo: &Photo, output_bucket: &str) -> Option<ObjectLocation> {
    let original = photo.original.as_deref().and_then(|uri| uri.parse().ok());
    output_location(
        output_bucket,
        photo.id.try_into().ok()?,
        &photo.project.parse().ok()?,
        original.as_ref(),
        photo.received_at,
    )
    .ok()
}
