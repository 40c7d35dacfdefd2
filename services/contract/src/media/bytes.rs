//! Numbers at fixed places of a head that may end too early.

use super::HeaderError;

/// The beginning of a file. What lies beyond it is
/// [`HeaderError::Incomplete`].
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl Bytes<'_> {
    pub(super) fn array<const N: usize>(self, at: usize) -> Result<[u8; N], HeaderError> {
        self.0
            .get(at..)
            .and_then(<[u8]>::first_chunk)
            .copied()
            .ok_or(HeaderError::Incomplete)
    }

    pub(super) fn byte(self, at: usize) -> Result<u8, HeaderError> {
        self.array(at).map(|[byte]| byte)
    }
}
