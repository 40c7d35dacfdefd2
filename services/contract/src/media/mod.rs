//! Formats of photos: JPEG, PNG and WebP. Reads the format, the size in pixels and the time at which a photo was taken
//! from its header.

mod chunk;
mod exif;
mod jpeg;
mod png;
mod webp;

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

pub use self::{
    chunk::{Chunk, png_chunks, webp_chunks},
    exif::{orientation, taken_at},
};

/// Longest side of a photo, in pixels, before and after EXIF orientation.
///
/// Every anonymised photo is a JPEG. JPEG itself goes up to 65,535 (ITU-T
/// T.81, B.2.2), libjpeg-turbo up to this (`JPEG_MAX_DIMENSION`).
pub const MAX_SIDE: u32 = 65_500;

/// A photo with more pixels is large. A worker processes one large photo at a time; smaller photos do not wait for it.
pub const LARGE_PHOTO_PIXELS: u64 = 24_000_000;

/// Years (UTC) in which a photo can be taken: those of RFC 3339, without the year 0 of cameras without a clock.
pub const YEARS: RangeInclusive<i32> = 1..=9999;

/// An accepted picture format.
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
    /// Maximum number of bytes that [`MediaType::sniff`] needs.
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

    /// Whether `head`, which is shorter than a signature, may be the beginning of one.
    fn may_begin_with(head: &[u8]) -> bool {
        let jpeg = b"\xFF\xD8\xFF".starts_with(head);
        let png = b"\x89PNG\r\n\x1A\n".starts_with(head);
        let riff = |at: usize| matches!(at, 4..8) || head.get(at) == b"RIFF\0\0\0\0WEBP".get(at);
        jpeg || png || (head.len() < Self::SNIFF_BYTES && (0..head.len()).all(riff))
    }

    /// The media type in HTTP and S3.
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

    /// The format of an extension in an object key.
    #[must_use]
    pub fn from_extension(extension: &str) -> Option<Self> {
        [Self::Jpeg, Self::Png, Self::Webp]
            .into_iter()
            .find(|t| t.extension() == extension)
    }
}

/// Format and size of a picture, from its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageHeader {
    pub media_type: MediaType,
    /// Width in pixels as stored, before EXIF orientation.
    pub width: u32,
    /// Height in pixels as stored, before EXIF orientation.
    pub height: u32,
}

impl ImageHeader {
    #[must_use]
    pub const fn pixels(&self) -> u64 {
        self.width as u64 * self.height as u64
    }
}

/// Why there is no [`ImageHeader`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The bytes are the beginning of a photo, but its size in pixels comes later.
    #[error("the picture ends before its size in pixels")]
    Incomplete,
    /// The bytes begin with no signature of an accepted format.
    #[error("neither JPEG nor PNG nor WebP")]
    UnknownFormat,
    /// The bytes after the signature are invalid.
    #[error("the picture's header is damaged")]
    Damaged,
}

/// Reads format and size in pixels from the beginning of a file.
///
/// It reads only as far as the size; the decoder checks the rest.
///
/// # Errors
/// [`HeaderError::Incomplete`] asks for more bytes; the others are final.
pub fn read_header(head: &[u8]) -> Result<ImageHeader, HeaderError> {
    let Some(media_type) = MediaType::sniff(head) else {
        return Err(if MediaType::may_begin_with(head) {
            HeaderError::Incomplete
        } else {
            HeaderError::UnknownFormat
        });
    };
    let (width, height) = match media_type {
        MediaType::Jpeg => jpeg::size(Bytes(head))?,
        MediaType::Png => png::size(Bytes(head))?,
        MediaType::Webp => webp::size(Bytes(head))?,
    };
    if width == 0 || height == 0 {
        return Err(HeaderError::Damaged);
    }
    Ok(ImageHeader {
        media_type,
        width,
        height,
    })
}

/// The beginning of a file. A read beyond its end is [`HeaderError::Incomplete`].
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn array<const N: usize>(self, at: usize) -> Result<[u8; N], HeaderError> {
        self.0
            .get(at..)
            .and_then(<[u8]>::first_chunk)
            .copied()
            .ok_or(HeaderError::Incomplete)
    }

    fn byte(self, at: usize) -> Result<u8, HeaderError> {
        self.array(at).map(|[byte]| byte)
    }
}
