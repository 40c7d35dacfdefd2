//! What the processes of Irmgard must agree on while they run: identifiers,
//! object keys, job and result messages, queue names, and what counts as a
//! photo. Pure: nothing in here does I/O.

pub mod detection;
pub mod failure;
pub mod headers;
pub mod job;
pub mod key;
pub mod location;
pub mod media;
pub mod outcome;
pub mod photo;
pub mod queues;

pub use detection::{Class, Detection};
pub use failure::FailureReason;
pub use job::{GivenJob, Job, JobError, JobMessage};
pub use key::PhotoKey;
pub use location::ObjectLocation;
pub use outcome::{MAX_DETAIL_CHARS, Outcome, PhotoResult, ResultError};
pub use photo::{PhotoId, ProjectName};
