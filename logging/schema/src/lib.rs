//! The names in a log line, once: programs write them, Fluentd gives other
//! programs' lines the same shape, OpenSearch maps them, logq queries them.
//!
//! Architecture invariant: this crate depends on nothing, so that whatever
//! reads logs can share the names without carrying what writes them.

pub mod component;
pub mod environment;
pub mod field;
pub mod label;
pub mod level;

pub use field::{FIELDS, Field, Kind};

/// A log line, its newline included, is shorter than this many bytes: the
/// container runtimes split longer ones (16 KiB), and a split line can lose
/// its first half.
pub const MAX_LINE_BYTES: usize = 16 * 1024;
