//! What an upload's body turns out to be: the photo, or a form around it.

use axum::body::Body;
use chrono::{DateTime, Datelike, Timelike, Utc};
use contract::media::YEARS;
use sha2::{Digest, Sha256};

use super::{
    error::UploadError,
    form::{Chunks, Form},
    settings::UploadSettings,
    source::Source,
};

/// The form's field with the photo.
const IMAGE: &str = "image";
/// The form's field with the time.
const TAKEN_AT: &str = "taken_at";
/// How chrono shows a leap second: more nanoseconds than a second has.
const LEAP_SECOND_NANOS: u32 = 1_000_000_000;
/// Bytes of a form beside the photo.
const FORM_BYTES: u64 = 256 * 1024;

/// An upload's body, read up to the photo's first byte.
pub struct Incoming {
    /// Its bytes.
    pub chunks: Chunks,
    /// Bytes of the body, where the request tells.
    pub length: Option<u64>,
    /// When the photo was taken, as a field before it told.
    pub taken_at: Option<DateTime<Utc>>,
    /// The file name that the form told.
    pub name: Option<String>,
}

impl Incoming {
    /// Goes to the photo's first byte.
    pub async fn open(
        body: Body,
        boundary: Option<&str>,
        settings: &UploadSettings,
    ) -> Result<Self, UploadError> {
        let limit = settings.max_bytes;
        let Some(boundary) = boundary else {
            let source = Source::new(body, limit, settings);
            let length = source.length();
            if length.is_some_and(|length| length > limit) {
                return Err(UploadError::TooLarge {
                    size_bytes: length,
                    limit,
                });
            }
            return Ok(Self {
                chunks: Chunks::Body(source),
                length,
                taken_at: None,
                name: None,
            });
        };
        let source = Source::new(body, limit + FORM_BYTES, settings);
        let length = source.length();
        if length.is_some_and(|length| length > limit + FORM_BYTES) {
            return Err(UploadError::TooLarge {
                size_bytes: length,
                limit,
            });
        }
        let mut form = Form::new(source, boundary);
        let mut taken_at = None;
        while let Some(field) = form.next_field().await? {
            match field.name.as_str() {
                IMAGE => {
                    return Ok(Self {
                        chunks: Chunks::Field(Box::new(form)),
                        length,
                        taken_at,
                        name: field.file_name,
                    });
                }
                TAKEN_AT => taken_at = Some(parse_taken_at(&form.text().await?)?),
                _ => {}
            }
        }
        Err(UploadError::ImageMissing)
    }

    /// Reads the fields after the photo; returns `taken_at` if it is there.
    pub async fn rest_of_form(&mut self) -> Result<Option<DateTime<Utc>>, UploadError> {
        let Chunks::Field(form) = &mut self.chunks else {
            return Ok(None);
        };
        let mut taken_at = None;
        while let Some(field) = form.next_field().await? {
            match field.name.as_str() {
                IMAGE => return Err(UploadError::SeveralImages),
                TAKEN_AT => taken_at = Some(parse_taken_at(&form.text().await?)?),
                _ => {}
            }
        }
        Ok(taken_at)
    }

    /// The digest of a photo that is not stored.
    pub async fn digest(&mut self) -> Result<[u8; 32], UploadError> {
        let mut hasher = Sha256::new();
        while let Some(chunk) = self.chunks.next().await? {
            hasher.update(&chunk);
        }
        self.rest_of_form().await?;
        Ok(hasher.finalize().into())
    }
}

/// Reads `taken_at`, an RFC 3339 time that in UTC is in one of [`YEARS`]: no
/// other can be written as RFC 3339 in an answer. PostgreSQL has no leap
/// second, so `:60` would come back as another time.
///
/// # Errors
/// [`UploadError::TakenAt`].
pub fn parse_taken_at(text: &str) -> Result<DateTime<Utc>, UploadError> {
    let time = DateTime::parse_from_rfc3339(text.trim())
        .map_err(|_| UploadError::TakenAt("write an RFC 3339 time, for example 2024-05-31T12:00:00+02:00"))?
        .to_utc();
    if time.nanosecond() >= LEAP_SECOND_NANOS {
        return Err(UploadError::TakenAt(
            "a leap second cannot be stored: write :59 or the next minute",
        ));
    }
    if !YEARS.contains(&time.year()) {
        return Err(UploadError::TakenAt("its year in UTC is not 1 to 9999"));
    }
    Ok(time)
}

/// The same from a query string, where `+` is a space: the sign of the offset,
/// if it was not written as `%2B`.
///
/// # Errors
/// [`UploadError::TakenAt`].
pub fn parse_taken_at_of_query(text: &str) -> Result<DateTime<Utc>, UploadError> {
    // In RFC 3339 no space stands before an offset, hh:mm at the end.
    match text.trim_end().rsplit_once(' ') {
        Some((local, offset)) if local.contains(':') => parse_taken_at(&format!("{local}+{offset}")),
        _ => parse_taken_at(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_at_is_rfc_3339() {
        assert_eq!(
            parse_taken_at("2024-02-29T12:00:00+01:00").unwrap().to_rfc3339(),
            "2024-02-29T11:00:00+00:00"
        );
        for edge in ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00"] {
            assert_eq!(parse_taken_at(edge).unwrap().to_rfc3339(), edge);
        }
        for bad in [
            "",
            "yesterday",
            "2024-02-30T00:00:00Z",
            "2024-02-29",
            "1709208000",
            "0000-06-01T00:00:00Z",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "2016-12-31T23:59:60Z",
            "2016-12-31T23:59:60.5Z",
            "2017-01-01T01:59:60+02:00",
            "2024-02-29T12:00:00 02:00",
        ] {
            assert!(parse_taken_at(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn in_a_query_a_plus_is_a_space() {
        for text in [
            "2024-02-29T12:00:00 02:00",
            "2024-02-29T12:00:00.000 02:00",
            "2024-02-29 12:00:00 02:00",
            "2024-02-29 12:00:00+02:00",
            " 2024-02-29T12:00:00+02:00 ",
            "2024-02-29 10:00:00Z",
            "2024-02-29T08:00:00-02:00",
        ] {
            let time = parse_taken_at_of_query(text).unwrap();
            assert_eq!(time.to_rfc3339(), "2024-02-29T10:00:00+00:00", "{text:?}");
        }
        for bad in [
            "",
            " ",
            "2024-02-29T12:00:00  02:00",
            "2024-02-29T12:00:00 -02:00",
            "2024-02-29T12:00:00 2",
            "2024-02-29T12:00:60 02:00",
            "2024-02-29T12:00:00 Z",
        ] {
            assert!(parse_taken_at_of_query(bad).is_err(), "{bad:?}");
        }
    }
}
