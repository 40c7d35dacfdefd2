//! `anonymizer`: makes people in photos unrecognisable.
//!
//! `serve` takes jobs from the queue: [`consume`] takes and settles messages,
//! [`job`] does what one says, [`work`] decides where a photo is worked on,
//! and the crate `imaging` is the one way from a photo as it came to one that
//! may be seen.

// A job's future holds those of the S3 client, which nest deeper than the default allows.
#![recursion_limit = "256"]

pub mod budget;
pub mod child;
pub mod cli;
pub mod consume;
pub mod failpoint;
pub mod file;
pub mod job;
pub mod metrics;
pub mod serve;
pub mod settings;
pub mod work;
