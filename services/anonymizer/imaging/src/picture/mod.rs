//! A photo as pixels: decoding, orientation, colour profile, encoding.

mod decode;
mod encode;
mod icc;
mod jpeg;
mod orientation;
mod png;
mod webp;

pub use decode::{DecodeError, DecodeLimits, decode, decoding_bytes};
pub use encode::{EncodeError, encode};
pub use icc::IccProfile;

/// A decoded photo: upright, 8 bits per channel, sRGB unless it has a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels, never 0.
    pub width: u32,
    /// Height in pixels, never 0.
    pub height: u32,
    /// Red, green, blue of each pixel, row by row from the top left, without padding: `3 * width * height` bytes.
    pub pixels: Vec<u8>,
    /// Whether the photo was stored as grey. The output is then grey, too.
    pub grey: bool,
    /// The colour profile of the pixels.
    pub icc: Option<IccProfile>,
}

impl Picture {
    /// Bytes of one row of pixels.
    #[must_use]
    pub const fn stride(&self) -> usize {
        3 * self.width as usize
    }
}
