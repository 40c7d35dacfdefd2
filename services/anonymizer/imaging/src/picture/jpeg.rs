//! JPEG (ITU-T T.81) through libjpeg-turbo.
//!
//! A file that a camera wrote badly is read if all its pixels are there; a file
//! of which anything is missing is an error. `jpeg.c` decides by the kind of
//! libjpeg-turbo's warnings.

use std::ffi::{CStr, c_char, c_int, c_uint, c_ulong};

use super::{DecodeError, Picture, decode::Decoded};

/// Scans of a progressive JPEG that are read at most. Cameras write about
/// ten; each costs a pass over all pixels, which is how a small file can be
/// made to take hours.
const MAX_SCANS: c_int = 100;

/// libjpeg's `JMSG_LENGTH_MAX`.
const MESSAGE_BYTES: usize = 200;

/// Decodes the whole picture, which its header says to be of this size.
pub(super) fn decode(bytes: &[u8], width: u32, height: u32) -> Result<Decoded, DecodeError> {
    let segments = Segments::read(bytes)?;
    let channels = if segments.components == 4 { 4 } else { 3 };
    let pixels = read(bytes, width, height, channels)?;
    let pixels = if channels == 4 {
        rgb_of_cmyk(pixels, segments.adobe)
    } else {
        pixels
    };
    Ok(Decoded {
        picture: Picture {
            width,
            height,
            pixels,
            grey: segments.components == 1,
            icc: None,
        },
        profile: segments.icc(),
    })
}

#[expect(unsafe_code, reason = "libjpeg's interface is C")]
unsafe extern "C" {
    fn irmgard_read_jpeg(
        data: *const u8,
        length: c_ulong,
        width: c_uint,
        height: c_uint,
        channels: c_int,
        max_scans: c_int,
        pixels: *mut u8,
        message: *mut c_char,
    ) -> c_int;
}

/// RGB, or CMYK if there are 4 channels.
#[expect(unsafe_code, reason = "libjpeg's interface is C")]
fn read(bytes: &[u8], width: u32, height: u32, channels: u8) -> Result<Vec<u8>, DecodeError> {
    let mut pixels = vec![0; width as usize * height as usize * usize::from(channels)];
    let mut message = [0u8; MESSAGE_BYTES];
    // SAFETY: `irmgard_read_jpeg` reads `bytes.len()` bytes of `bytes`, writes
    // `width * height * channels` bytes, which is the length of `pixels`, and a
    // string of at most `MESSAGE_BYTES` bytes with its end. It keeps no pointer.
    let failed = unsafe {
        irmgard_read_jpeg(
            bytes.as_ptr(),
            bytes.len() as c_ulong,
            width,
            height,
            channels.into(),
            MAX_SCANS,
            pixels.as_mut_ptr(),
            message.as_mut_ptr().cast(),
        )
    };
    if failed == 0 {
        return Ok(pixels);
    }
    let message = CStr::from_bytes_until_nul(&message).unwrap_or_default();
    Err(DecodeError::Corrupt(message.to_string_lossy().into_owned()))
}

/// Whether the picture comes in more than one scan.
pub(super) fn has_many_scans(bytes: &[u8]) -> bool {
    Segments::read(bytes).is_ok_and(|segments| segments.many_scans)
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
    /// Colour components of the frame.
    components: u8,
    /// The frame is progressive, or its first scan has not all components.
    many_scans: bool,
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
                0xDA => {
                    found.many_scans |= body.first() != Some(&found.components);
                    break;
                }
                0xD9 => break,
                0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                    if body.first() != Some(&8) {
                        return Err(DecodeError::Unsupported("a JPEG of other than 8 bits".to_owned()));
                    }
                    found.components = body.get(5).copied().unwrap_or(0);
                    found.many_scans = matches!(marker, 0xC2 | 0xCA);
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
