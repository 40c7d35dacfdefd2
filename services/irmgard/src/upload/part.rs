//! A buffer for one part of a multipart upload.

use bytes::Bytes;

/// Chunks that are sent together.
#[derive(Default)]
pub struct PartBuffer {
    chunks: Vec<Bytes>,
    bytes: usize,
}

impl PartBuffer {
    /// Number of bytes.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn into_chunks(self) -> Vec<Bytes> {
        self.chunks
    }

    pub fn push(&mut self, chunk: Bytes) {
        self.bytes += chunk.len();
        self.chunks.push(chunk);
    }

    /// Removes and returns the first `bytes` bytes.
    pub fn split_to(&mut self, bytes: usize) -> Vec<Bytes> {
        let mut removed = std::mem::take(&mut self.chunks);
        let mut excess = self.bytes.saturating_sub(bytes);
        self.bytes = excess;
        while excess > 0
            && let Some(mut last) = removed.pop()
        {
            if last.len() > excess {
                self.chunks.push(last.split_off(last.len() - excess));
                removed.push(last);
                break;
            }
            excess -= last.len();
            self.chunks.push(last);
        }
        self.chunks.reverse();
        removed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_split_at_the_exact_byte() {
        let mut part = PartBuffer::default();
        for chunk in ["abc", "defg", "h"] {
            part.push(Bytes::from_static(chunk.as_bytes()));
        }
        assert_eq!(part.split_to(5), ["abc", "de"]);
        assert_eq!(
            (part.bytes, part.chunks.clone()),
            (3, vec!["fg".into(), "h".into()])
        );
        assert_eq!(part.split_to(2), ["fg"]);
        assert_eq!(part.split_to(1), ["h"]);
        assert_eq!((part.bytes, part.chunks.len()), (0, 0));
    }
}
