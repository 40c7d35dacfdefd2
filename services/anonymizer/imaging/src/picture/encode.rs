//! Encodes pixels as JPEG. The file contains no metadata except the colour profile.

use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

use super::{IccProfile, Picture};

/// libjpeg-turbo refused. Its message is about sizes and memory only.
#[derive(Debug, thiserror::Error)]
#[error("JPEG encoder: {0}")]
pub struct EncodeError(#[from] turbojpeg::Error);

/// Maximum data of an ICC part: a segment's 65,533 bytes without the part's header (ICC.1:2022, annex B.4).
const ICC_PART_BYTES: usize = 65_533 - ICC_NAME.len() - 2;
const ICC_NAME: &[u8] = b"ICC_PROFILE\0";

/// Encodes as baseline JPEG: colour at half resolution (4:2:0), grey pictures as grey. `quality` is libjpeg's, 1 to 100.
///
/// # Errors
/// A side is longer than JPEG's 65,535 pixels, or memory runs out.
pub fn encode(picture: &Picture, quality: u8) -> Result<Vec<u8>, EncodeError> {
    let mut encoder = Compressor::new()?;
    encoder.set_quality(i32::from(quality))?;
    encoder.set_subsamp(if picture.grey {
        Subsamp::Gray
    } else {
        Subsamp::Sub2x2
    })?;
    let jpeg = encoder.compress_to_owned(Image {
        pixels: picture.pixels.as_slice(),
        width: picture.width as usize,
        pitch: picture.stride(),
        height: picture.height as usize,
        format: PixelFormat::RGB,
    })?;
    Ok(match &picture.icc {
        Some(profile) => with_profile(&jpeg, profile),
        None => jpeg.to_vec(),
    })
}

/// Puts the profile behind the JFIF header that the encoder wrote.
fn with_profile(jpeg: &[u8], profile: &IccProfile) -> Vec<u8> {
    let after_jfif = match jpeg {
        [0xFF, 0xD8, 0xFF, 0xE0, high, low, ..] => 4 + usize::from(u16::from_be_bytes([*high, *low])),
        _ => 2,
    };
    let (head, tail) = jpeg.split_at(after_jfif.min(jpeg.len()));
    let parts = profile.as_bytes().chunks(ICC_PART_BYTES);
    let count = parts.len().to_le_bytes()[0];
    let mut out = Vec::with_capacity(jpeg.len() + profile.as_bytes().len() + 18 * parts.len());
    out.extend_from_slice(head);
    for (number, part) in (1..).zip(parts) {
        let length = (2 + ICC_NAME.len() + 2 + part.len()).to_le_bytes();
        out.extend_from_slice(&[0xFF, 0xE2, length[1], length[0]]);
        out.extend_from_slice(ICC_NAME);
        out.extend_from_slice(&[number, count]);
        out.extend_from_slice(part);
    }
    out.extend_from_slice(tail);
    out
}
