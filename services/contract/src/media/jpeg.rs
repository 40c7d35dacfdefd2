//! The frame header of a JPEG (ITU-T T.81, annex B).

use super::{Bytes, HeaderError};

/// Width and height in pixels.
pub(super) fn size(head: Bytes<'_>) -> Result<(u32, u32), HeaderError> {
    // After SOI.
    let mut at = 2;
    loop {
        if head.byte(at)? != 0xFF {
            return Err(HeaderError::Damaged);
        }
        // Any number of fill bytes may stand before a marker's code (B.1.1.2).
        while head.byte(at)? == 0xFF {
            at += 1;
        }
        let code = head.byte(at)?;
        at += 1;
        match code {
            // SOF: a frame. C4, C8 and CC among them are DHT, JPG and DAC.
            0xC0..=0xCF if !matches!(code, 0xC4 | 0xC8 | 0xCC) => return frame(head, at),
            // TEM and RST stand alone.
            0x01 | 0xD0..=0xD7 => {}
            // A stuffed byte, SOI, EOI, SOS: none of them before a frame.
            0x00 | 0xD8..=0xDA => return Err(HeaderError::Damaged),
            _ => at += segment_bytes(head, at)?,
        }
    }
}

/// The length of a segment, its own two bytes included (B.1.1.4).
fn segment_bytes(head: Bytes<'_>, at: usize) -> Result<usize, HeaderError> {
    let length = usize::from(u16::from_be_bytes(head.array(at)?));
    if length < 2 {
        return Err(HeaderError::Damaged);
    }
    Ok(length)
}

/// B.2.2: length, precision, lines, samples per line, components. A frame without a number of lines (a marker after the
/// scan has it) gets the size 0, which is refused.
fn frame(head: Bytes<'_>, at: usize) -> Result<(u32, u32), HeaderError> {
    if segment_bytes(head, at)? < 8 {
        return Err(HeaderError::Damaged);
    }
    let height = u16::from_be_bytes(head.array(at + 3)?);
    let width = u16::from_be_bytes(head.array(at + 5)?);
    Ok((width.into(), height.into()))
}
