//! From the bytes of an original to the bytes of an anonymised JPEG.
//!
//! [`anonymize`] runs all steps: [`picture`] decodes, [`detector`] finds people, faces and vehicles, [`obscure`] replaces
//! their pixels, [`detector`] checks the result, [`picture`] encodes.
//!
//! Invariants:
//! - The same bytes and settings give the same picture: nothing depends on a network, the environment or a clock.
//! - Any doubt is an [`AnonymizeError`]; an original is never returned unchanged.

mod anonymize;
mod class;
pub mod detector;
pub mod obscure;
pub mod picture;

pub use class::{Class, ClassGroup, UnknownClass};

pub use anonymize::{
    AnonymizeError, AnonymizeSettings, Anonymized, Checks, MAX_DETECTIONS, StageSeconds, anonymize,
    anonymize_until, regions,
};
