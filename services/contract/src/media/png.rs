//! The first chunk of a PNG (W3C, third edition, 11.2.1).

use super::{Bytes, HeaderError};

/// After the signature: length and type of the chunk that comes first.
const IHDR: [u8; 8] = *b"\0\0\0\x0DIHDR";

/// Four-byte numbers end here (7.1).
const MAX: u32 = i32::MAX as u32;

/// Width and height in pixels.
pub(super) fn size(head: Bytes<'_>) -> Result<(u32, u32), HeaderError> {
    if head.array(8)? != IHDR {
        return Err(HeaderError::Damaged);
    }
    let width = u32::from_be_bytes(head.array(16)?);
    let height = u32::from_be_bytes(head.array(20)?);
    if width > MAX || height > MAX {
        return Err(HeaderError::Damaged);
    }
    Ok((width, height))
}
