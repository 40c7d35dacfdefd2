//! A piece of a photo that is sent when it is whole.

use bytes::Bytes;

/// Chunks that are sent together.
#[derive(Default)]
pub struct Part {
    chunks: Vec<Bytes>,
    bytes: usize,
}

impl Part {
    /// Bytes in all.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// All of it.
    pub fn into_chunks(self) -> Vec<Bytes> {
        self.chunks
    }

    /// Adds a chunk.
    pub fn push(&mut self, chunk: Bytes) {
        self.bytes += chunk.len();
        self.chunks.push(chunk);
    }

    /// Takes the first `bytes` bytes; what is after them stays.
    pub fn split_to(&mut self, bytes: usize) -> Vec<Bytes> {
        let mut taken = std::mem::take(&mut self.chunks);
        let mut excess = self.bytes.saturating_sub(bytes);
        self.bytes = excess;
        while excess > 0
            && let Some(mut last) = taken.pop()
        {
            if last.len() > excess {
                self.chunks.push(last.split_off(last.len() - excess));
                taken.push(last);
                break;
            }
            excess -= last.len();
            self.chunks.push(last);
        }
        self.chunks.reverse();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_cut_to_the_byte() {
        let mut part = Part::default();
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
