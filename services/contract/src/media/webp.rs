//! The first chunk of a WebP (RFC 9649).

use super::{Bytes, HeaderError};

/// Width and height in pixels.
pub(super) fn size(head: Bytes<'_>) -> Result<(u32, u32), HeaderError> {
    match &head.array(12)? {
        b"VP8 " => lossy(head),
        b"VP8L" => lossless(head),
        b"VP8X" => extended(head),
        _ => Err(HeaderError::Damaged),
    }
}

/// A key frame (RFC 6386, 9.1): the two bits above each size are a scale.
fn lossy(head: Bytes<'_>) -> Result<(u32, u32), HeaderError> {
    let is_key_frame = head.byte(20)? & 1 == 0;
    if !is_key_frame || head.array(23)? != [0x9D, 0x01, 0x2A] {
        return Err(HeaderError::Damaged);
    }
    let width = u16::from_le_bytes(head.array(26)?) & 0x3FFF;
    let height = u16::from_le_bytes(head.array(28)?) & 0x3FFF;
    Ok((width.into(), height.into()))
}

/// RFC 9649, 3.4: the signature, 14 bits of width - 1, 14 of height - 1, one of alpha, three of version 0.
fn lossless(head: Bytes<'_>) -> Result<(u32, u32), HeaderError> {
    if head.byte(20)? != 0x2F {
        return Err(HeaderError::Damaged);
    }
    let bits = u32::from_le_bytes(head.array(21)?);
    if bits >> 29 != 0 {
        return Err(HeaderError::Damaged);
    }
    Ok(((bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1))
}

/// RFC 9649, 2.7: 24 bits of width - 1 and of height - 1 of the canvas.
fn extended(head: Bytes<'_>) -> Result<(u32, u32), HeaderError> {
    let number = |[a, b, c]: [u8; 3]| u32::from_le_bytes([a, b, c, 0]) + 1;
    Ok((number(head.array(24)?), number(head.array(27)?)))
}
