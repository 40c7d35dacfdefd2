//! The sources of lines.
//!
//! A [`LineSource`] returns the lines of a filter. Tests send all sources the same queries, so a search does not depend on
//! the source.
//!
//! CONTRIBUTING.md says how to add a source. Its type needs [`LineSource::resolve`], [`LineSource::lines`],
//! [`LineSource::explain`], [`LineSource::has_match`] and [`LineSource::values`]. The other functions have defaults:
//! they make a search faster, or enable `--follow` ([`Feed`]).

mod choose;
pub mod combined;
mod error;
mod feed;
pub mod files;
mod line_source;
mod merge;
mod missing;
pub mod opensearch;
pub mod pods;

pub use self::{
    choose::{ChooseError, ChosenSource, SOURCES, SourceRequest, SourceType, choose, fall_back_to_pods},
    error::SourceError,
    feed::{Backlog, ContextLines, Event, Feed, FeedEnd, FeedOptions, FeedSink},
    line_source::{Entries, LineSource},
    missing::{MAX_NOTES, explain_name, in_time_range, missing_so_far, nearest_name},
};
