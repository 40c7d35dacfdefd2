//! Object keys of photos.

use chrono::NaiveDate;

use crate::{PhotoId, ProjectName, media::MediaType};

/// Prefix of every key of this system. Objects with other keys are never listed, swept or deleted.
pub const PREFIX: &str = "photos/";

/// The parts of a photo's object keys. They are unique because the id is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PhotoKey {
    pub project: ProjectName,
    /// The day (UTC) on which the photo was received.
    pub received_on: NaiveDate,
    pub id: PhotoId,
}

impl PhotoKey {
    /// Key of the original in the input bucket: `photos/<project>/<yyyy-mm-dd>/<id>.<jpg|png|webp>`.
    #[must_use]
    pub fn original(&self, media_type: MediaType) -> String {
        self.with_extension(media_type.extension())
    }

    /// Key of the anonymised photo in the output bucket: `photos/<project>/<yyyy-mm-dd>/<id>.jpg`.
    #[must_use]
    pub fn anonymized(&self) -> String {
        self.with_extension(MediaType::Jpeg.extension())
    }

    fn with_extension(&self, extension: &str) -> String {
        format!(
            "{PREFIX}{}/{}/{}.{extension}",
            self.project,
            self.received_on.format("%Y-%m-%d"),
            self.id
        )
    }

    /// Parses a key of [`PhotoKey::original`] or [`PhotoKey::anonymized`]; `None` for any other key.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let mut parts = key.strip_prefix(PREFIX)?.split('/');
        let (project, date, file) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let (id, extension) = file.split_once('.')?;
        let parsed = Self {
            project: project.parse().ok()?,
            received_on: NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?,
            id: id.parse().ok()?,
        };
        (parsed.with_extension(extension) == key && MediaType::from_extension(extension).is_some())
            .then_some(parsed)
    }
}
