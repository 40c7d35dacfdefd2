//! `anonymizer` makes people and vehicles in photos unrecognisable.
//!
//! `anonymizer serve` processes jobs from the queue:
//! - [`consumer`] takes messages from the queue and settles them.
//! - [`job`] runs the steps of one job, with the retries of [`retry`].
//! - [`photo_processor`] anonymises a photo in this process or in a [`child`] process, within the limits of
//!   [`capacity`]. [`attempt`] is what both processes do.
//!
//! `anonymizer file` ([`file`]) anonymises files without any server. Both use the crate
//! [`imaging`], the only code that turns an original into an anonymised photo.

// The futures of the S3 client nest deeper than the default limit.
#![recursion_limit = "256"]

pub mod attempt;
pub mod capacity;
pub mod child;
pub mod cli;
pub mod consumer;
pub mod file;
pub mod job;
pub mod metrics;
pub mod photo_processor;
pub mod retry;
pub mod serve;
pub mod settings;
