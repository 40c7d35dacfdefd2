//! What counts as a photo: JPEG, PNG or WebP by content, its size in pixels
//! and the time at which it was taken, read from the header alone.

use std::io::Cursor;

use chrono::{DateTime, FixedOffset, NaiveDate, Utc};
use exif::{In, Tag, Value};
use serde::{Deserialize, Serialize};

/// A picture format that is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MediaType {
    /// JPEG (ITU-T T.81).
    #[serde(rename = "image/jpeg")]
    Jpeg,
    /// PNG (W3C, third edition).
    #[serde(rename = "image/png")]
    Png,
    /// WebP (RFC 9649).
    #[serde(rename = "image/webp")]
    Webp,
}

impl MediaType {
    /// Bytes that [`MediaType::sniff`] needs at most.
    pub const SNIFF_BYTES: usize = 12;

    /// The format by its signature (WHATWG MIME Sniffing, image patterns).
    #[must_use]
    pub fn sniff(head: &[u8]) -> Option<Self> {
        if head.starts_with(b"\xFF\xD8\xFF") {
            Some(Self::Jpeg)
        } else if head.starts_with(b"\x89PNG\r\n\x1A\n") {
            Some(Self::Png)
        } else if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
            Some(Self::Webp)
        } else {
            None
        }
    }

    /// The media type as HTTP and S3 write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
        }
    }

    /// The extension in object keys.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::Webp => "webp",
        }
    }

    /// The format of an extension that [`MediaType::extension`] gave.
    #[must_use]
    pub fn from_extension(extension: &str) -> Option<Self> {
        [Self::Jpeg, Self::Png, Self::Webp]
            .into_iter()
            .find(|t| t.extension() == extension)
    }
}

/// What the beginning of a photo tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The format.
    pub media_type: MediaType,
    /// Width in pixels as stored, before EXIF orientation.
    pub width: u32,
    /// Height in pixels as stored, before EXIF orientation.
    pub height: u32,
}

impl Header {
    /// Pixels in all.
    #[must_use]
    pub const fn pixels(&self) -> u64 {
        self.width as u64 * self.height as u64
    }
}

/// Why there is no [`Header`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The bytes so far are the beginning of a photo, but its size in pixels
    /// comes later.
    #[error("the picture ends before its size in pixels is told")]
    Incomplete,
    /// No signature of an accepted format.
    #[error("neither JPEG nor PNG nor WebP")]
    UnknownFormat,
    /// A signature, and then nothing that makes sense.
    #[error("the picture's header is damaged")]
    Damaged,
}

/// Reads format and size in pixels from the beginning of a file.
///
/// # Errors
/// [`HeaderError::Incomplete`] asks for more bytes; the others are final.
pub fn read_header(head: &[u8]) -> Result<Header, HeaderError> {
    let Some(media_type) = MediaType::sniff(head) else {
        let undecided = head.len() < MediaType::SNIFF_BYTES;
        return Err(if undecided {
            HeaderError::Incomplete
        } else {
            HeaderError::UnknownFormat
        });
    };
    let size = imagesize::blob_size(head).map_err(|e| match e {
        imagesize::ImageError::IoError(_) => HeaderError::Incomplete,
        imagesize::ImageError::NotSupported | imagesize::ImageError::CorruptedImage => HeaderError::Damaged,
    })?;
    match (u32::try_from(size.width), u32::try_from(size.height)) {
        (Ok(width), Ok(height)) if width > 0 && height > 0 => Ok(Header {
            media_type,
            width,
            height,
        }),
        _ => Err(HeaderError::Damaged),
    }
}

/// The time at which the camera says that it took the photo: EXIF
/// `DateTimeOriginal` with `OffsetTimeOriginal`; without an offset it is taken
/// as UTC. `None` where the bytes hold no such time.
#[must_use]
pub fn taken_at(head: &[u8]) -> Option<DateTime<Utc>> {
    let exif = read_exif(head)?;
    let ascii = |tag| match &exif.get_field(tag, In::PRIMARY)?.value {
        Value::Ascii(lines) => lines.first().cloned(),
        _ => None,
    };
    let mut stamp = exif::DateTime::from_ascii(&ascii(Tag::DateTimeOriginal)?).ok()?;
    if let Some(offset) = ascii(Tag::OffsetTimeOriginal) {
        // An unreadable offset leaves the time as if there were none.
        let _ = stamp.parse_offset(&offset);
    }
    let local = NaiveDate::from_ymd_opt(stamp.year.into(), stamp.month.into(), stamp.day.into())?
        .and_hms_opt(stamp.hour.into(), stamp.minute.into(), stamp.second.into())?;
    let offset = FixedOffset::east_opt(i32::from(stamp.offset.unwrap_or(0)) * 60)?;
    Some(local.and_local_timezone(offset).single()?.to_utc())
}

/// EXIF `Orientation`, 1 to 8 (CIPA DC-008, 4.6.4); 1 where there is none or
/// it makes no sense.
#[must_use]
pub fn orientation(photo: &[u8]) -> u8 {
    read_exif(photo)
        .and_then(|exif| exif.get_field(Tag::Orientation, In::PRIMARY)?.value.get_uint(0))
        .and_then(|value| u8::try_from(value).ok())
        .filter(|value| (1..=8).contains(value))
        .unwrap_or(1)
}

fn read_exif(photo: &[u8]) -> Option<exif::Exif> {
    let mut reader = exif::Reader::new();
    reader.continue_on_error(true);
    match reader.read_from_container(&mut Cursor::new(photo)) {
        Ok(exif) => Some(exif),
        Err(e) => e.distill_partial_result(|_| {}).ok(),
    }
}
