//! WebP (RFC 9649), lossy and lossless.

use std::io::Cursor;

use contract::media;
use image::{ColorType, ImageDecoder, ImageError, codecs::webp::WebPDecoder};

use super::{DecodeError, DecodeLimits, Picture, decode::Decoded, png::opaque};

pub(super) fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Decoded, DecodeError> {
    let mut decoder = WebPDecoder::new(Cursor::new(whole(bytes)?)).map_err(corrupt)?;
    let (width, height) = decoder.dimensions();
    limits.allow(width, height)?;
    if decoder.has_animation() {
        return Err(DecodeError::Unsupported("an animated WebP".to_owned()));
    }
    let profile = decoder.icc_profile().map_err(corrupt)?;
    let color = decoder.color_type();
    let channels: usize = match color {
        ColorType::Rgb8 => 3,
        ColorType::Rgba8 => 4,
        other => return Err(DecodeError::Unsupported(format!("a WebP of {other:?}"))),
    };
    let mut pixels = vec![0; channels * width as usize * height as usize];
    decoder.read_image(&mut pixels).map_err(corrupt)?;
    if channels == 4 {
        pixels = opaque(pixels);
    }
    Ok(Decoded {
        picture: Picture {
            width,
            height,
            pixels,
            grey: false,
            icc: None,
        },
        profile,
    })
}

/// The file up to the length in its header (RFC 9649, 2.4). The decoder would read missing data as zeros. The padding byte
/// after the last chunk may be missing.
fn whole(file: &[u8]) -> Result<&[u8], DecodeError> {
    let cut_off = || DecodeError::Corrupt("the WebP ends before the size that it tells".to_owned());
    let size = file
        .get(4..8)
        .and_then(|size| size.try_into().ok())
        .and_then(|size| usize::try_from(u32::from_le_bytes(size)).ok()?.checked_add(8))
        .ok_or_else(cut_off)?;
    let only_padding = || {
        let last = media::webp_chunks(file).last();
        last.is_some_and(|chunk| chunk.body.end == file.len() && chunk.end == size)
    };
    let whole = match file.get(..size) {
        Some(whole) => whole,
        None if only_padding() => file,
        None => return Err(cut_off()),
    };
    let is_image = |kind| matches!(&kind, b"VP8 " | b"VP8L" | b"ALPH");
    if media::webp_chunks(whole).any(|chunk| is_image(chunk.kind) && chunk.body.end > whole.len()) {
        return Err(cut_off());
    }
    Ok(whole)
}

#[expect(clippy::needless_pass_by_value, reason = "used as `map_err(corrupt)`")]
fn corrupt(error: ImageError) -> DecodeError {
    match error {
        ImageError::Unsupported(_) => DecodeError::Unsupported(error.to_string()),
        _ => DecodeError::Corrupt(error.to_string()),
    }
}
