//! The colour profile: the one thing besides pixels that is passed on, since
//! the pixels' colours are wrong without it.

/// A well-formed ICC profile of a colour space that the output can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IccProfile(Vec<u8>);

/// Larger profiles are dropped: real ones for cameras have a few KiB, and the
/// space in a profile could carry anything.
const MAX_BYTES: usize = 1024 * 1024;

/// The fixed header (ICC.1:2022, 7.2).
const HEADER_BYTES: usize = 128;

impl IccProfile {
    /// Takes a profile that goes with the pixels: its size field is its size,
    /// its signature `acsp`, its data colour space RGB, or grey for a grey
    /// picture. `None` for anything else, which is then dropped.
    #[must_use]
    pub fn accept(profile: Vec<u8>, grey: bool) -> Option<Self> {
        let size = profile
            .get(0..4)
            .and_then(|b| b.try_into().ok())
            .map(u32::from_be_bytes)?;
        let space: &[u8] = if grey { b"GRAY" } else { b"RGB " };
        let fits = (HEADER_BYTES..=MAX_BYTES).contains(&profile.len())
            && usize::try_from(size) == Ok(profile.len())
            && profile.get(36..40) == Some(b"acsp")
            && profile.get(16..20) == Some(space);
        fits.then_some(Self(profile))
    }

    /// The profile as it is embedded.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
