//! Bytes to pixels. A photo that does not decode to the last pixel is an error:
//! the detector would see what is missing as a grey plain with nobody in it.
//! A photo whose pixels are all there is decoded, however badly it was written.

use contract::{
    FailureReason,
    media::{self, HeaderError, MAX_SIDE, MediaType},
};

use super::{Picture, icc, jpeg, orientation, png, webp};

/// What a format's decoder gives: the picture as it is stored, and the bytes of
/// its colour profile.
pub(super) struct Decoded {
    pub picture: Picture,
    pub profile: Option<Vec<u8>>,
}

/// What a photo may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest file, bytes.
    pub bytes: u64,
    /// Largest picture, pixels.
    pub pixels: u64,
}

impl Limits {
    /// Checks a size in pixels as some decoder's header tells it.
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

/// Why there are no pixels. The texts hold nothing of the photo's content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than [`Limits::bytes`].
    #[error("{bytes} bytes: more than the limit of {limit}")]
    TooManyBytes {
        /// Size of the file.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// More pixels than [`Limits::pixels`].
    #[error("{pixels} pixels: more than the limit of {limit}")]
    TooManyPixels {
        /// Width times height.
        pixels: u64,
        /// The limit.
        limit: u64,
    },
    /// A side of more than [`MAX_SIDE`] pixels: no JPEG can have it.
    #[error("a side of {side} pixels: more than the {MAX_SIDE} that a JPEG can have")]
    TooLongSide {
        /// The longer side.
        side: u32,
    },
    /// No JPEG, PNG or WebP, or a kind of these that is not decoded.
    #[error("unsupported format: {0}")]
    Unsupported(String),
    /// Damaged, cut off, or no picture at all behind the signature.
    #[error("corrupt picture: {0}")]
    Corrupt(String),
}

impl DecodeError {
    /// The verdict that this error is.
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

/// Memory that decoding takes at its peak, bytes; 0 for what has no readable
/// header.
#[must_use]
pub fn decoding_bytes(photo: &[u8]) -> u64 {
    let Ok(header) = media::read_header(photo) else {
        return 0;
    };
    let (per_pixel, more) = match header.media_type {
        MediaType::Jpeg => (4, jpeg::coefficient_bytes(photo)),
        // An interlaced one is held twice where it is grey.
        MediaType::Png => (if photo.get(28) == Some(&0) { 4 } else { 5 }, 0),
        MediaType::Webp => (8, 0),
    };
    // A picture that changes its sides is held twice.
    let turning = if media::orientation(photo) > 4 { 6 } else { 0 };
    let pixels = header.pixels();
    let decoding = pixels.saturating_mul(per_pixel).saturating_add(more);
    decoding.max(pixels.saturating_mul(turning))
}

/// Decodes a JPEG, PNG or WebP and turns it upright (EXIF orientation).
///
/// Data after the picture's end is ignored. Transparent pixels are laid over
/// white: what is hidden in them is neither seen nor passed on.
///
/// # Errors
/// See [`DecodeError`]. Animations are refused: an output of their first
/// picture alone would silently lose the rest.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture, DecodeError> {
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
