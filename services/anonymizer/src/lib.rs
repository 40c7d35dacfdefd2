//! `anonymizer`: makes people in photos unrecognisable.

pub mod anonymize;
pub mod detector;
pub mod obscure;
pub mod picture;
