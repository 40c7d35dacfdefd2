//! The body of an upload: the photo itself, or a form with the photo.

use axum::body::Body;
use chrono::{DateTime, Datelike, Timelike, Utc};
use contract::media::YEARS;
use sha2::{Digest, Sha256};
use terminal::is_acted_on;

use super::{
    error::UploadError,
    form::{Form, PhotoSource},
    limited_body::LimitedBody,
    settings::UploadSettings,
};

/// Form field with the photo.
const IMAGE_FIELD: &str = "image";
/// Form field with the time.
const TAKEN_AT_FIELD: &str = "taken_at";
/// chrono represents a leap second as more nanoseconds than a second has.
const LEAP_SECOND_NANOS: u32 = 1_000_000_000;
/// Maximum size of a form without the photo, bytes.
const MAX_FORM_OVERHEAD_BYTES: u64 = 256 * 1024;

/// Maximum length of a file name, bytes.
const MAX_NAME_BYTES: usize = 255;

/// The body of an upload, read up to the first byte of the photo.
pub struct IncomingPhoto {
    pub source: PhotoSource,
    /// Size of the body in bytes, if the request announces it.
    pub length: Option<u64>,
    /// Value of `taken_at`, if that field came before the photo.
    pub taken_at: Option<DateTime<Utc>>,
    /// File name in the form.
    pub name: Option<String>,
}

impl IncomingPhoto {
    /// Reads up to the first byte of the photo.
    pub async fn open(
        body: Body,
        boundary: Option<&str>,
        settings: &UploadSettings,
    ) -> Result<Self, UploadError> {
        let limit = settings.max_bytes;
        let Some(boundary) = boundary else {
            let body = LimitedBody::new(body, limit, settings);
            let length = body.length();
            if length.is_some_and(|length| length > limit) {
                return Err(UploadError::TooLarge {
                    size_bytes: length,
                    limit,
                });
            }
            return Ok(Self {
                source: PhotoSource::Body(body),
                length,
                taken_at: None,
                name: None,
            });
        };
        let body = LimitedBody::new(body, limit + MAX_FORM_OVERHEAD_BYTES, settings);
        let length = body.length();
        if length.is_some_and(|length| length > limit + MAX_FORM_OVERHEAD_BYTES) {
            return Err(UploadError::TooLarge {
                size_bytes: length,
                limit,
            });
        }
        let mut form = Form::new(body, boundary);
        let mut taken_at = None;
        while let Some(field) = form.next_field().await? {
            match field.name.as_str() {
                IMAGE_FIELD => {
                    return Ok(Self {
                        source: PhotoSource::Field(Box::new(form)),
                        length,
                        taken_at,
                        name: field.file_name,
                    });
                }
                TAKEN_AT_FIELD => taken_at = Some(parse_taken_at(&form.read_text().await?)?),
                _ => {}
            }
        }
        Err(UploadError::ImageMissing)
    }

    /// Reads the fields after the photo; returns `taken_at` if it is among them.
    pub async fn read_remaining_fields(&mut self) -> Result<Option<DateTime<Utc>>, UploadError> {
        let PhotoSource::Field(form) = &mut self.source else {
            return Ok(None);
        };
        let mut taken_at = None;
        while let Some(field) = form.next_field().await? {
            match field.name.as_str() {
                IMAGE_FIELD => return Err(UploadError::SeveralImages),
                TAKEN_AT_FIELD => taken_at = Some(parse_taken_at(&form.read_text().await?)?),
                _ => {}
            }
        }
        Ok(taken_at)
    }

    /// The digest of a photo that will not be stored.
    pub async fn digest(&mut self) -> Result<[u8; 32], UploadError> {
        let mut hasher = Sha256::new();
        while let Some(chunk) = self.source.next().await? {
            hasher.update(&chunk);
        }
        self.read_remaining_fields().await?;
        Ok(hasher.finalize().into())
    }
}

/// Parses `taken_at`: an RFC 3339 time whose year in UTC is in [`YEARS`]. Other years cannot be written as RFC 3339 in
/// a response. Leap seconds are refused: PostgreSQL has none, so `:60` would come back as another time.
pub fn parse_taken_at(text: &str) -> Result<DateTime<Utc>, UploadError> {
    let time = DateTime::parse_from_rfc3339(text.trim())
        .map_err(|_| {
            UploadError::InvalidTakenAt("write an RFC 3339 time, for example 2024-05-31T12:00:00+02:00")
        })?
        .to_utc();
    if time.nanosecond() >= LEAP_SECOND_NANOS {
        return Err(UploadError::InvalidTakenAt(
            "a leap second cannot be stored: write :59 or the next minute",
        ));
    }
    if !YEARS.contains(&time.year()) {
        return Err(UploadError::InvalidTakenAt(
            "the year in UTC must be from 1 to 9999",
        ));
    }
    Ok(time)
}

/// Parses `taken_at` from a query string, where an unescaped `+` of the offset arrives as a space.
pub fn parse_taken_at_in_query(text: &str) -> Result<DateTime<Utc>, UploadError> {
    // RFC 3339 has no space before the offset, which is hh:mm at the end.
    match text.trim_end().rsplit_once(' ') {
        Some((local, offset)) if local.contains(':') => parse_taken_at(&format!("{local}+{offset}")),
        _ => parse_taken_at(text),
    }
}

/// The last component of a path, without characters that a terminal would interpret; `None` if nothing is left.
pub fn sanitize_file_name(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut plain: String = last.chars().filter(|c| !is_acted_on(*c)).collect();
    while plain.len() > MAX_NAME_BYTES {
        plain.pop();
    }
    let plain = plain.trim();
    (!matches!(plain, "" | "." | "..")).then(|| plain.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_at_must_be_rfc_3339() {
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
    fn a_plus_in_a_query_is_a_space() {
        for text in [
            "2024-02-29T12:00:00 02:00",
            "2024-02-29T12:00:00.000 02:00",
            "2024-02-29 12:00:00 02:00",
            "2024-02-29 12:00:00+02:00",
            " 2024-02-29T12:00:00+02:00 ",
            "2024-02-29 10:00:00Z",
            "2024-02-29T08:00:00-02:00",
        ] {
            let time = parse_taken_at_in_query(text).unwrap();
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
            assert!(parse_taken_at_in_query(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_lose_their_path_and_control_characters() {
        for (name, plain) in [
            ("a.jpg", Some("a.jpg")),
            ("../../etc/passwd", Some("passwd")),
            (r"C:\photos\b.jpg", Some("b.jpg")),
            ("x\r\nSet-Cookie: y\u{1b}[2J\0.jpg", Some("xSet-Cookie: y[2J.jpg")),
            ("a\u{202e}gpj.exe\u{2069}\u{200f}", Some("agpj.exe")),
            ("..", None),
            ("dir/", None),
            ("  ", None),
        ] {
            assert_eq!(sanitize_file_name(name).as_deref(), plain, "{name:?}");
        }
        assert_eq!(sanitize_file_name(&"ä".repeat(200)).unwrap().len(), 254);
    }
}
