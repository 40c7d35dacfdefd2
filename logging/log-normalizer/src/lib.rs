//! Converts the log lines of any program to documents of one schema.
//!
//! The steps: [`Cri`] (or [`timestamped`]) parses the prefix of the container runtime. A [`Joiner`] joins parts of long
//! lines and stack traces. [`normalize`] converts the line and its [`Origin`] to a [`Document`].
//!
//! Architecture invariants: no I/O, no clock. The same line has the same [`Document`] and id from every source; the
//! cases in `fluentd/golden` check this. No line is rejected: what the schema does not have goes to `fields`.

#![allow(missing_docs, reason = "a private crate; most names need no comment")]

mod conformance;
mod cri;
mod document;
mod joiner;
pub mod json;
mod names;
mod normalize;
mod origin;
mod prefix;
mod record;
mod time;

pub use conformance::{Contradiction, conforms};
pub use cri::{Cri, Stream, timestamped};
pub use document::{Document, DocumentError};
pub use joiner::{Joiner, MAX_TRACE_BYTES, MAX_TRACE_LINES, PARTIAL_WAIT, RawLine, TRACE_WAIT};
pub use normalize::{ENCODED_TEXTS, docker_content, level_members, normalize, numeric_level, time_members};
pub use origin::{ContainerRef, Metadata, Origin, PodContainer, PodList, PodListError};
pub use record::Record;
pub use time::Time;
