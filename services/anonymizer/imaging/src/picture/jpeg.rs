//! JPEG (ITU-T T.81) through libjpeg-turbo.
//!
//! A file that violates the standard is read if it has all pixels; missing pixels are an error. `jpeg.c` decides by the
//! kind of libjpeg-turbo's warnings.

use std::ffi::{CStr, c_char, c_int, c_uint, c_ulong};

use super::{DecodeError, Picture, decode::Decoded};

/// Maximum number of scans of a progressive JPEG. Cameras write about ten. Each needs a pass over all pixels, so without a
/// limit a small file could take hours.
const MAX_SCANS: c_int = 100;

/// libjpeg's `JMSG_LENGTH_MAX`.
const MESSAGE_BYTES: usize = 200;

/// Decodes the whole picture. Its header has this size.
pub(super) fn decode(bytes: &[u8], width: u32, height: u32) -> Result<Decoded, DecodeError> {
    let (header, profile) = read_header(bytes)?;
    if header.precision != 8 {
        return Err(DecodeError::Unsupported("a JPEG of other than 8 bits".to_owned()));
    }
    let channels = if header.components == 4 { 4 } else { 3 };
    let pixels = read(bytes, width, height, channels)?;
    let pixels = if channels == 4 {
        rgb_of_cmyk(pixels, header.has_adobe_marker != 0)
    } else {
        pixels
    };
    Ok(Decoded {
        picture: Picture {
            width,
            height,
            pixels,
            grey: header.components == 1,
            icc: None,
        },
        profile: Some(profile).filter(|profile| !profile.is_empty()),
    })
}

/// Memory that a picture with several scans takes besides its pixels, until the last scan; 0 for other pictures.
pub(super) fn coefficient_bytes(bytes: &[u8]) -> u64 {
    read_header(bytes).map_or(0, |(header, _)| header.coefficient_bytes)
}

/// `struct irmgard_jpeg_header` of `jpeg.c`.
#[repr(C)]
#[derive(Default)]
struct JpegHeader {
    coefficient_bytes: u64,
    profile_bytes: u64,
    precision: c_int,
    components: c_int,
    has_adobe_marker: c_int,
}

#[expect(unsafe_code, reason = "libjpeg's interface is C")]
unsafe extern "C" {
    fn irmgard_read_jpeg_header(
        data: *const u8,
        length: c_ulong,
        header: *mut JpegHeader,
        profile: *mut u8,
        message: *mut c_char,
    ) -> c_int;
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

/// The header and the colour profile. The profile is empty if the file has none.
#[expect(unsafe_code, reason = "libjpeg's interface is C")]
fn read_header(bytes: &[u8]) -> Result<(JpegHeader, Vec<u8>), DecodeError> {
    let mut header = JpegHeader::default();
    let mut profile = vec![0; bytes.len()];
    let mut message = [0u8; MESSAGE_BYTES];
    // SAFETY: `irmgard_read_jpeg_header` reads `bytes.len()` bytes of `bytes`, writes a part of them to `profile`,
    // which is as long, and a string of at most `MESSAGE_BYTES` bytes with its end. It keeps no pointer.
    let failed = unsafe {
        irmgard_read_jpeg_header(
            bytes.as_ptr(),
            bytes.len() as c_ulong,
            &raw mut header,
            profile.as_mut_ptr(),
            message.as_mut_ptr().cast(),
        )
    };
    if failed != 0 {
        return Err(corrupt(&message));
    }
    profile.truncate(usize::try_from(header.profile_bytes).unwrap_or(0));
    profile.shrink_to_fit();
    Ok((header, profile))
}

/// RGB, or CMYK if there are 4 channels.
#[expect(unsafe_code, reason = "libjpeg's interface is C")]
fn read(bytes: &[u8], width: u32, height: u32, channels: u8) -> Result<Vec<u8>, DecodeError> {
    let mut pixels = vec![0; width as usize * height as usize * usize::from(channels)];
    let mut message = [0u8; MESSAGE_BYTES];
    // SAFETY: `irmgard_read_jpeg` reads `bytes.len()` bytes of `bytes`, writes `width * height * channels` bytes, which
    // is the length of `pixels`, and a string of at most `MESSAGE_BYTES` bytes with its end. It keeps no pointer.
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
    Err(corrupt(&message))
}

fn corrupt(message: &[u8]) -> DecodeError {
    let message = CStr::from_bytes_until_nul(message).unwrap_or_default();
    DecodeError::Corrupt(message.to_string_lossy().into_owned())
}

/// Converts inks to light in place. Adobe's programs store the complement of each ink (Adobe Technical Note 5116), other
/// programs the ink.
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
