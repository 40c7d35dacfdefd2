//! PNG (W3C, third edition).

use std::{borrow::Cow, io::Cursor};

use contract::media;

use ::png::{ColorType, DecodeOptions, Decoder, DecodingError, Transformations};

use super::{DecodeError, DecodeLimits, Picture, decode::Decoded};

/// Decodes row by row, so that memory holds no copy of the picture with 16 bits or alpha. Interlaced pictures are the
/// exception; their colours stay in the decoder's buffer.
pub(super) fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Decoded, DecodeError> {
    let mut options = DecodeOptions::default();
    options.set_ignore_adler32(false);
    options.set_ignore_text_chunk(true);
    let file = with_end(bytes);
    let mut decoder = Decoder::new_with_options(Cursor::new(file.as_ref()), options);
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(corrupt)?;

    let info = reader.info();
    let (width, height) = (info.width, info.height);
    limits.allow(width, height)?;
    if info.is_animated() {
        return Err(DecodeError::Unsupported("an animated PNG".to_owned()));
    }
    let grey = matches!(info.color_type, ColorType::Grayscale | ColorType::GrayscaleAlpha);
    let interlaced = info.interlaced;
    let profile = info.icc_profile.as_ref().map(|profile| profile.to_vec());
    let (color, _) = reader.output_color_type();

    let mut pixels = Vec::new();
    let rgb_bytes = 3 * width as usize * height as usize;
    if interlaced {
        let size = reader
            .output_buffer_size()
            .ok_or_else(|| DecodeError::Corrupt("a size beyond memory".to_owned()))?;
        let mut frame = vec![0; size];
        reader.next_frame(&mut frame).map_err(corrupt)?;
        match color {
            ColorType::Rgb => pixels = frame,
            ColorType::Rgba => pixels = opaque(frame),
            _ => {
                pixels.reserve_exact(rgb_bytes);
                append_rgb(&frame, color, &mut pixels)?;
            }
        }
    } else {
        pixels.reserve_exact(rgb_bytes);
        while let Some(row) = reader.next_row().map_err(corrupt)? {
            append_rgb(row.data(), color, &mut pixels)?;
        }
    }
    reader.finish().map_err(corrupt)?;
    if pixels.len() != rgb_bytes {
        return Err(DecodeError::Corrupt("rows are missing".to_owned()));
    }
    Ok(Decoded {
        picture: Picture {
            width,
            height,
            pixels,
            grey,
            icc: None,
        },
        profile,
    })
}

/// Adds the last chunk, `IEND`, if only that is missing after the image data. It contains no information.
fn with_end(file: &[u8]) -> Cow<'_, [u8]> {
    const IEND: &[u8] = b"\0\0\0\0IEND\xAE\x42\x60\x82";
    let mut whole = 0;
    for chunk in media::png_chunks(file) {
        if chunk.end > file.len() {
            if chunk.kind == *b"IDAT" {
                return file.into();
            }
            break;
        }
        if chunk.kind == *b"IEND" {
            return file.into();
        }
        whole = chunk.end;
    }
    [&file[..whole], IEND].concat().into()
}

fn corrupt(error: DecodingError) -> DecodeError {
    match error {
        DecodingError::LimitsExceeded => DecodeError::Unsupported("a PNG with oversized chunks".to_owned()),
        other => DecodeError::Corrupt(other.to_string()),
    }
}

fn append_rgb(data: &[u8], color: ColorType, pixels: &mut Vec<u8>) -> Result<(), DecodeError> {
    match color {
        ColorType::Rgb => pixels.extend_from_slice(data),
        ColorType::Grayscale => pixels.extend(data.iter().flat_map(|&v| [v; 3])),
        ColorType::Rgba => pixels.extend(
            data.as_chunks::<4>()
                .0
                .iter()
                .flat_map(|&[r, g, b, a]| [r, g, b].map(|v| over_white(v, a))),
        ),
        ColorType::GrayscaleAlpha => {
            pixels.extend(
                data.as_chunks::<2>()
                    .0
                    .iter()
                    .flat_map(|&[v, a]| [over_white(v, a); 3]),
            );
        }
        ColorType::Indexed => {
            return Err(DecodeError::Unsupported(
                "a palette without its colours".to_owned(),
            ));
        }
    }
    Ok(())
}

/// Draws RGBA on white, in place.
pub(super) fn opaque(mut pixels: Vec<u8>) -> Vec<u8> {
    let mut to = 0;
    for from in (0..pixels.len()).step_by(4) {
        for channel in 0..3 {
            pixels[to + channel] = over_white(pixels[from + channel], pixels[from + 3]);
        }
        to += 3;
    }
    pixels.truncate(to);
    pixels
}

/// Draws a value with this opacity on white.
fn over_white(value: u8, alpha: u8) -> u8 {
    let (value, alpha) = (u16::from(value), u16::from(alpha));
    ((value * alpha + 255 * (255 - alpha) + 127) / 255).to_le_bytes()[0]
}
