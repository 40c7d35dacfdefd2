//! WebP (RFC 9649), lossy and lossless.

use std::io::Cursor;

use image::{ColorType, ImageDecoder, ImageError, codecs::webp::WebPDecoder};

use super::{DecodeError, IccProfile, Limits, Picture, png::over_white};

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture, DecodeError> {
    if !is_whole(bytes) {
        return Err(DecodeError::Corrupt(
            "the WebP ends before the size that it tells".to_owned(),
        ));
    }
    let mut decoder = WebPDecoder::new(Cursor::new(whole(bytes)?)).map_err(corrupt)?;
    let (width, height) = decoder.dimensions();
    limits.allow(width, height)?;
    if decoder.has_animation() {
        return Err(DecodeError::Unsupported("an animated WebP".to_owned()));
    }
    let icc = decoder.icc_profile().map_err(corrupt)?;
    let color = decoder.color_type();
    let channels: usize = match color {
        ColorType::Rgb8 => 3,
        ColorType::Rgba8 => 4,
        other => return Err(DecodeError::Unsupported(format!("a WebP of {other:?}"))),
    };
    let mut pixels = vec![0; channels * width as usize * height as usize];
    decoder.read_image(&mut pixels).map_err(corrupt)?;
    if channels == 4 {
        let mut to = 0;
        for from in (0..pixels.len()).step_by(4) {
            for channel in 0..3 {
                pixels[to + channel] = over_white(pixels[from + channel], pixels[from + 3]);
            }
            to += 3;
        }
        pixels.truncate(to);
    }
    Ok(Picture {
        width,
        height,
        pixels,
        grey: false,
        icc: icc.and_then(|profile| IccProfile::accept(profile, false)),
    })
}

/// Whether all bytes are there that the RIFF header tells of (RFC 9649, 2.4).
/// The decoder is content with fewer. A padding byte at the end may be missing.
fn is_whole(bytes: &[u8]) -> bool {
    bytes
        .get(4..8)
        .and_then(|size| size.try_into().ok())
        .is_some_and(|size| u64::from(u32::from_le_bytes(size)) + 8 <= bytes.len() as u64 + 1)
}

/// The file as long as its header says (RFC 9649, 2.4). The decoder would read
/// what is missing at its end as zeros.
fn whole(bytes: &[u8]) -> Result<&[u8], DecodeError> {
    let size = bytes
        .get(4..8)
        .and_then(|size| size.try_into().ok())
        .map(u32::from_le_bytes);
    size.and_then(|size| bytes.get(..8 + usize::try_from(size).ok()?))
        .ok_or_else(|| DecodeError::Corrupt("it ends before its end".to_owned()))
}

#[expect(clippy::needless_pass_by_value, reason = "used as `map_err(corrupt)`")]
fn corrupt(error: ImageError) -> DecodeError {
    match error {
        ImageError::Unsupported(_) => DecodeError::Unsupported(error.to_string()),
        _ => DecodeError::Corrupt(error.to_string()),
    }
}
