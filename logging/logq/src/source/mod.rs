//! Where lines come from.
//!
//! A [`Source`] is asked and gives the lines that a filter wants; that a
//! search does not depend on which one it is, is checked by one table of
//! questions. Files have a faster way of their own.

mod asked;
pub mod both;
mod choose;
pub mod files;
pub mod kubectl;
mod merge;
pub mod opensearch;
mod reach;

use line::Document;

pub use self::{
    asked::{Lines, Order, Source, SourceError},
    choose::{Chosen, NoSource, choose, fall_back_to_pods},
    merge::Timed,
};

/// A line that a source gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The line in the one shape.
    pub document: Document,
    /// As its program wrote it, without a newline, where the source has it.
    pub raw: Option<Vec<u8>>,
}
