//! Where lines come from.

pub mod files;
pub mod opensearch;

use line::Document;

/// A line that a source gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The line in the one shape.
    pub document: Document,
    /// As its program wrote it, without a newline, where the source has it.
    pub raw: Option<Vec<u8>>,
}
