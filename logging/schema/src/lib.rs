//! Names of log fields and their values. Programs write them, Fluentd normalises other programs' lines to them,
//! OpenSearch maps them, and logq queries them.
//!
//! Architecture invariant: this crate has no dependencies, so that readers of logs do not depend on writers.

mod class;
pub mod component;
pub mod environment;
pub mod field;
pub mod label;
pub mod level;
pub mod outcome;
pub mod stream;
pub mod tag;

pub use field::{FIELDS, Field, FieldKind};

/// Maximum length of a log line with its newline, exclusive. Container runtimes split longer lines (16 KiB), and a split
/// line can lose its first half.
pub const MAX_LINE_BYTES: usize = 16 * 1024;

/// Maximum length of a line of any program; the rest is cut off.
pub const MAX_CONTENT_BYTES: usize = 1024 * 1024;

/// Maximum length of an indexed keyword, bytes: `ignore_above`, and the limit of a text in a flat object. Lucene rejects
/// documents with terms over 32,766 bytes.
pub const MAX_TERM_BYTES: usize = 8191;
