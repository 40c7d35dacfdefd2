//! From a photo as it came to a JPEG that may be seen: bytes in, bytes out.
//!
//! [`anonymize`] is the one way through: [`picture`] decodes, [`detector`]
//! finds people, faces and vehicles, [`obscure`] replaces their pixels,
//! [`detector`] looks at the result once more, [`picture`] encodes.
//!
//! Invariants:
//! - No network, no environment, no clock that decides anything: the same bytes
//!   and settings give the same picture.
//! - Any doubt is an [`AnonymizeError`]; nothing is passed on as it was.

mod anonymize;
pub mod detector;
pub mod obscure;
pub mod picture;

pub use anonymize::{
    AnonymizeError, AnonymizeSettings, Anonymized, Checks, MAX_DETECTIONS, Seconds, anonymize,
    anonymize_until, regions,
};
