//! The protocol between the processes of Irmgard: identifiers, object keys, job and result messages, queue names, and
//! the formats of photos. Nothing here does I/O.

pub mod headers;
pub mod job;
pub mod key;
pub mod location;
pub mod media;
pub mod photo;
pub mod queues;
pub mod result;

pub use job::{Job, JobError, JobMessage, LegacyJob};
pub use key::PhotoKey;
pub use location::ObjectLocation;
pub use photo::{PhotoId, ProjectName};
pub use result::{Detection, FailureReason, MAX_DETAIL_CHARS, PhotoResult, ResultError, Verdict};
