//! One upload, from the first byte of a request's body to the stored original
//! and its rows.
//!
//! Invariants:
//! - Nothing is stored before the header of the photo was read and accepted.
//! - Memory is bounded: the head of a photo, and for bodies of unknown length
//!   parts out of one [`Budget`] for all requests.
//! - The rows are written after the object. An object whose rows are
//!   certainly not there is removed; one whose rows may be there stays.

mod budget;
mod commit;
mod error;
mod form;
mod head;
mod ids;
mod incoming;
mod multipart;
mod name;
mod objects;
mod original;
mod part;
mod progress;
mod receive;
mod settings;
mod source;
mod transfer;

pub use self::{
    budget::Budget,
    commit::{Acceptance, Accepted},
    error::UploadError,
    form::{FormError, MAX_PARTS, boundary},
    ids::Ids,
    incoming::parse_taken_at_of_query,
    objects::Originals,
    receive::{Receiver, Upload},
    settings::{SMALLEST_PART_BYTES, UploadSettings},
};
