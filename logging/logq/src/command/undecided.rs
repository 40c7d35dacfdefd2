//! Output of a source that may have to give way to another one.

use std::io::{self, Write};

/// More than this is not held: then there is something that was found.
const MOST_HELD_BYTES: usize = 64 * 1024;

/// Holds the first bytes back until it is known whether they are the answer.
pub(super) struct Undecided<W: Write> {
    out: W,
    held: Option<Vec<u8>>,
}

impl<W: Write> Undecided<W> {
    pub(super) const fn new(out: W) -> Self {
        Self {
            out,
            held: Some(Vec::new()),
        }
    }

    /// Forgets what was held: another source answers.
    pub(super) fn discard(&mut self) {
        self.held = Some(Vec::new());
    }

    /// Writes what was held, and from now on everything as it comes.
    pub(super) fn release(&mut self) -> io::Result<()> {
        match self.held.take() {
            Some(held) => self.out.write_all(&held),
            None => Ok(()),
        }
    }
}

impl<W: Write> Write for Undecided<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(held) = &mut self.held {
            if held.len() + bytes.len() <= MOST_HELD_BYTES {
                held.extend_from_slice(bytes);
                return Ok(bytes.len());
            }
            self.release()?;
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.held.is_some() {
            return Ok(());
        }
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_before_it_is_decided() {
        let mut out = Undecided::new(Vec::new());
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
    fn much_is_written_as_it_comes() {
        let mut out = Undecided::new(Vec::new());
        let block = [b'x'; MOST_HELD_BYTES];
        for blocks in [0, 2, 3] {
            out.write_all(&block).unwrap();
            assert_eq!(out.out.len(), blocks * MOST_HELD_BYTES);
        }
    }
}
