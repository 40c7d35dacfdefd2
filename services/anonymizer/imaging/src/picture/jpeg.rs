//! JPEG (ITU-T T.81) through libjpeg-turbo.

use turbojpeg::{Colorspace, Decompressor, Image, PixelFormat};

use super::{DecodeError, IccProfile, Limits, Picture};

/// Scans of a progressive JPEG that are read at most. Cameras write about
/// ten; each costs a pass over all pixels, which is how a small file can be
/// made to take hours.
const MAX_SCANS: u32 = 100;

/// Decodes the whole picture. libjpeg-turbo's warnings (missing or damaged
/// data that it would paint grey) are errors here.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture, DecodeError> {
    let segments = Segments::read(bytes)?;
    let mut decoder = Decompressor::new().map_err(corrupt)?;
    decoder.set_scan_limit(MAX_SCANS).map_err(corrupt)?;
    let header = decoder.read_header(bytes).map_err(corrupt)?;
    let side = |pixels: usize| {
        u32::try_from(pixels).map_err(|_| DecodeError::Corrupt("a side beyond 32 bits".to_owned()))
    };
    let (width, height) = (side(header.width)?, side(header.height)?);
    limits.allow(width, height)?;
    let mut read = |format: PixelFormat| {
        let pitch = header.width * format.size();
        let mut pixels = vec![0; pitch * header.height];
        let image = Image {
            pixels: pixels.as_mut_slice(),
            width: header.width,
            pitch,
            height: header.height,
            format,
        };
        decoder.decompress(bytes, image).map(|()| pixels).map_err(corrupt)
    };
    let pixels = match header.colorspace {
        Colorspace::CMYK | Colorspace::YCCK => rgb_of_cmyk(read(PixelFormat::CMYK)?, segments.adobe),
        Colorspace::RGB | Colorspace::YCbCr | Colorspace::Gray => read(PixelFormat::RGB)?,
    };
    let grey = header.colorspace == Colorspace::Gray;
    Ok(Picture {
        width,
        height,
        pixels,
        grey,
        icc: segments
            .icc()
            .and_then(|profile| IccProfile::accept(profile, grey)),
    })
}

#[expect(clippy::needless_pass_by_value, reason = "used as `map_err(corrupt)`")]
fn corrupt(error: turbojpeg::Error) -> DecodeError {
    DecodeError::Corrupt(error.to_string())
}

/// Ink to light, in place. Adobe's programs store the complement of each ink
/// (Adobe Technical Note 5116), all others the ink.
fn rgb_of_cmyk(mut pixels: Vec<u8>, complement: bool) -> Vec<u8> {
    let mut to = 0;
    for from in (0..pixels.len()).step_by(4) {
        for channel in 0..3 {
            let (mut ink, mut black) = (pixels[from + channel], pixels[from + 3]);
            if !complement {
                (ink, black) = (255 - ink, 255 - black);
            }
            let light = (u16::from(ink) * u16::from(black) + 127) / 255;
            pixels[to + channel] = light.to_le_bytes()[0];
        }
        to += 3;
    }
    pixels.truncate(to);
    pixels
}

/// What is read from the segments before the first scan, besides what
/// libjpeg-turbo reads itself.
#[derive(Default)]
struct Segments<'a> {
    /// An Adobe segment (APP14) is there.
    adobe: bool,
    /// Parts of the ICC profile (APP2): number, count, data.
    icc: Vec<(u8, u8, &'a [u8])>,
}

impl<'a> Segments<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut found = Self::default();
        let mut rest = bytes.get(2..).unwrap_or_default();
        while let [0xFF, marker, after @ ..] = rest {
            if *marker == 0xFF {
                // Fill bytes may stand before any marker (T.81, B.1.1.2).
                rest = &rest[1..];
                continue;
            }
            if matches!(marker, 0x01 | 0xD0..=0xD8) {
                rest = after;
                continue;
            }
            let Some(length) = after
                .get(..2)
                .map(|b| usize::from(u16::from_be_bytes([b[0], b[1]])))
            else {
                break;
            };
            let Some(body) = after.get(2..length) else {
                break;
            };
            match marker {
                0xDA | 0xD9 => break,
                0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) && body.first() != Some(&8) => {
                    return Err(DecodeError::Unsupported("a JPEG of other than 8 bits".to_owned()));
                }
                0xEE => found.adobe |= body.starts_with(b"Adobe"),
                0xE2 => {
                    if let Some([number, count, data @ ..]) = body.strip_prefix(b"ICC_PROFILE\0") {
                        found.icc.push((*number, *count, data));
                    }
                }
                _ => {}
            }
            rest = &after[length..];
        }
        Ok(found)
    }

    /// The profile put together (ICC.1:2022, annex B.4); `None` where parts
    /// are missing or there are too many.
    fn icc(&self) -> Option<Vec<u8>> {
        let mut parts = self.icc.clone();
        parts.sort_by_key(|part| part.0);
        let count = parts.first()?.1;
        let complete = parts.len() == usize::from(count)
            && parts
                .iter()
                .zip(1..)
                .all(|(part, number)| part.0 == number && part.1 == count);
        complete.then(|| parts.iter().flat_map(|part| part.2).copied().collect())
    }
}
