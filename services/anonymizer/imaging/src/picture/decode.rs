//! Decodes bytes to pixels. A photo with missing pixels is an error, because the detector would see a grey area without
//! people. A photo with all pixels is decoded, even if the file violates the standard.

use contract::{
    FailureReason,
    media::{self, HeaderError, MAX_SIDE, MediaType},
};

use super::{Picture, icc, jpeg, orientation, png, webp};

/// The output of a format's decoder: the picture as stored, and the bytes of its colour profile.
pub(super) struct Decoded {
    pub picture: Picture,
    pub profile: Option<Vec<u8>>,
}

/// Limits on photos.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Maximum size of a file, bytes.
    pub bytes: u64,
    /// Maximum size of a picture, pixels.
    pub pixels: u64,
}

impl DecodeLimits {
    /// Checks a size in pixels from a header.
    pub(super) fn allow(&self, width: u32, height: u32) -> Result<(), DecodeError> {
        let pixels = u64::from(width) * u64::from(height);
        if pixels > self.pixels {
            return Err(DecodeError::TooManyPixels {
                pixels,
                limit: self.pixels,
            });
        }
        if width.max(height) > MAX_SIDE {
            return Err(DecodeError::TooLongSide {
                side: width.max(height),
            });
        }
        if pixels == 0 {
            return Err(DecodeError::Corrupt("a side of no pixels".to_owned()));
        }
        Ok(())
    }
}

/// Why a photo cannot be decoded. The texts contain nothing of its content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than [`DecodeLimits::bytes`].
    #[error("{bytes} bytes: more than the limit of {limit}")]
    TooManyBytes { bytes: u64, limit: u64 },
    /// More pixels than [`DecodeLimits::pixels`].
    #[error("{pixels} pixels: more than the limit of {limit}")]
    TooManyPixels {
        /// Width times height.
        pixels: u64,
        limit: u64,
    },
    /// A side of more than [`MAX_SIDE`] pixels, which a JPEG cannot have.
    #[error("a side of {side} pixels: more than the {MAX_SIDE} that a JPEG can have")]
    TooLongSide {
        /// The longer side.
        side: u32,
    },
    /// Not a JPEG, PNG or WebP, or an unsupported kind of these.
    #[error("unsupported format: {0}")]
    Unsupported(String),
    /// Damaged, truncated, or no picture after the signature.
    #[error("corrupt picture: {0}")]
    Corrupt(String),
}

impl DecodeError {
    /// The reason in the verdict on the photo.
    #[must_use]
    pub const fn reason(&self) -> FailureReason {
        match self {
            Self::TooManyBytes { .. } | Self::TooManyPixels { .. } | Self::TooLongSide { .. } => {
                FailureReason::TooLarge
            }
            Self::Unsupported(_) => FailureReason::UnsupportedFormat,
            Self::Corrupt(_) => FailureReason::CorruptImage,
        }
    }
}

/// Peak memory of decoding, bytes; 0 without a readable header.
#[must_use]
pub fn decoding_bytes(photo: &[u8]) -> u64 {
    let Ok(header) = media::read_header(photo) else {
        return 0;
    };
    let (per_pixel, more) = match header.media_type {
        MediaType::Jpeg => (4, jpeg::coefficient_bytes(photo)),
        // A grey interlaced picture is in memory twice.
        MediaType::Png => (if photo.get(28) == Some(&0) { 4 } else { 5 }, 0),
        MediaType::Webp => (8, 0),
    };
    // A picture that is rotated by a quarter is in memory twice.
    let turning = if media::orientation(photo) > 4 { 6 } else { 0 };
    let pixels = header.pixels();
    let decoding = pixels.saturating_mul(per_pixel).saturating_add(more);
    decoding.max(pixels.saturating_mul(turning))
}

/// Decodes a JPEG, PNG or WebP and turns it upright (EXIF orientation).
///
/// Data after the picture's end is ignored. Transparent pixels are drawn on white, so that colours hidden in them are
/// neither detected nor written.
///
/// # Errors
/// [`DecodeError`]. Animations are refused, because an output of the first picture would lose the rest.
pub fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Picture, DecodeError> {
    let size = bytes.len() as u64;
    if size > limits.bytes {
        return Err(DecodeError::TooManyBytes {
            bytes: size,
            limit: limits.bytes,
        });
    }
    let header = media::read_header(bytes).map_err(|e| match e {
        HeaderError::UnknownFormat => DecodeError::Unsupported(e.to_string()),
        HeaderError::Incomplete | HeaderError::Damaged => DecodeError::Corrupt(e.to_string()),
    })?;
    limits.allow(header.width, header.height)?;
    let Decoded { mut picture, profile } = match header.media_type {
        MediaType::Jpeg => jpeg::decode(bytes, header.width, header.height)?,
        MediaType::Png => png::decode(bytes, limits)?,
        MediaType::Webp => webp::decode(bytes, limits)?,
    };
    if let Some(profile) = profile {
        icc::adopt(&profile, &mut picture);
    }
    Ok(orientation::upright(picture, media::orientation(bytes)))
}
