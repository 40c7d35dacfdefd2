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
pub mod stream;
pub mod tag;

pub use field::{FIELDS, Field, Kind};

/// A log line, its newline included, is shorter than this many bytes: the
/// container runtimes split longer ones (16 KiB), and a split line can lose
/// its first half.
pub const MAX_LINE_BYTES: usize = 16 * 1024;

/// Of a longer line of any program the beginning is kept.
pub const MAX_CONTENT_BYTES: usize = 1024 * 1024;

/// Longest text that can be found as a whole, bytes: `ignore_above` of a
/// keyword, and where a text in a flat object is cut. Lucene takes no term
/// beyond 32,766 bytes, and rejects the document.
pub const MAX_TERM_BYTES: usize = 8191;
