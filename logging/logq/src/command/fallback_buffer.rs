//! Buffers the output of a source that another source may replace.

use std::io::{self, Write};

/// Above this size, the source has found something: write it.
const MAX_BUFFER_BYTES: usize = 64 * 1024;

/// Buffers the output until the source is known to have answered.
pub(super) struct FallbackBuffer<W: Write> {
    out: W,
    buffer: Option<Vec<u8>>,
}

impl<W: Write> FallbackBuffer<W> {
    pub(super) const fn new(out: W) -> Self {
        Self {
            out,
            buffer: Some(Vec::new()),
        }
    }

    /// Drops the buffer, because another source answers.
    pub(super) fn discard(&mut self) {
        self.buffer = Some(Vec::new());
    }

    /// Writes the buffer, and stops buffering.
    pub(super) fn release(&mut self) -> io::Result<()> {
        match self.buffer.take() {
            Some(buffer) => self.out.write_all(&buffer),
            None => Ok(()),
        }
    }
}

impl<W: Write> Write for FallbackBuffer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(buffer) = &mut self.buffer {
            if buffer.len() + bytes.len() <= MAX_BUFFER_BYTES {
                buffer.extend_from_slice(bytes);
                return Ok(bytes.len());
            }
            self.release()?;
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_some() {
            return Ok(());
        }
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incomplete_context_writes_nothing() {
        let mut out = FallbackBuffer::new(Vec::new());
        out.write_all(b"[]").unwrap();
        out.flush().unwrap();
        assert_eq!(out.out, b"");
        out.discard();
        out.write_all(b"[1]").unwrap();
        out.release().unwrap();
        out.write_all(b"\n").unwrap();
        assert_eq!(out.out, b"[1]\n");
    }

    #[test]
    fn large_output_is_written_unsorted() {
        let mut out = FallbackBuffer::new(Vec::new());
        let block = [b'x'; MAX_BUFFER_BYTES];
        for blocks in [0, 2, 3] {
            out.write_all(&block).unwrap();
            assert_eq!(out.out.len(), blocks * MAX_BUFFER_BYTES);
        }
    }
}
