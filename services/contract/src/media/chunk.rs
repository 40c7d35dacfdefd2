//! The chunks of PNG and WebP.

use std::{iter, ops::Range};

/// A part of a file with its type and length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Type in the file: `IDAT`, `VP8X`.
    pub kind: [u8; 4],
    /// Position of the content, according to the chunk's length; it may reach beyond the end of the file.
    pub body: Range<usize>,
    /// Position of the next chunk.
    pub end: usize,
}

/// The chunks of a PNG (W3C, third edition, 5.3), up to the first with an incomplete head.
pub fn png_chunks(file: &[u8]) -> impl Iterator<Item = Chunk> {
    chunks(
        file,
        8,
        |[l0, l1, l2, l3, kind @ ..]| (kind, u32::from_be_bytes([l0, l1, l2, l3])),
        |_| 4,
    )
}

/// The chunks of a WebP (RFC 9649, 2.3), up to the first with an incomplete head.
pub fn webp_chunks(file: &[u8]) -> impl Iterator<Item = Chunk> {
    chunks(
        file,
        12,
        |[k0, k1, k2, k3, length @ ..]| ([k0, k1, k2, k3], u32::from_le_bytes(length)),
        |length| length % 2,
    )
}

/// Chunks from `at` on. `head` returns type and length, `tail` the number of bytes after the content: of a checksum, or a
/// padding byte.
fn chunks(
    file: &[u8],
    mut at: usize,
    head: fn([u8; 8]) -> ([u8; 4], u32),
    tail: fn(usize) -> usize,
) -> impl Iterator<Item = Chunk> {
    iter::from_fn(move || {
        let (kind, length) = head(*file.get(at..)?.first_chunk()?);
        let length = usize::try_from(length).ok()?;
        let begin = at.checked_add(8)?;
        let body = begin..begin.checked_add(length)?;
        at = body.end.checked_add(tail(length))?;
        Some(Chunk { kind, body, end: at })
    })
}
