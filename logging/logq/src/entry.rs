//! A line from a source.

use log_normalizer::{Document, Time};

#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The normalised line.
    pub document: Document,
    /// The original line without its newline, if the source has it.
    pub raw: Option<Vec<u8>>,
}

pub trait Timed {
    fn time(&self) -> Option<Time>;
}

impl Timed for Entry {
    fn time(&self) -> Option<Time> {
        self.document.timestamp()
    }
}

/// The order of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    Forward,
    /// Newest first.
    Backward,
}
