//! One upload: from the first byte of the request's body to the stored original and its rows.
//!
//! Invariants:
//! - Nothing is stored before the photo's header was read and accepted.
//! - Memory is limited: to the head of a photo and, for bodies of unknown length, to parts from a
//!   [`MemoryBudget`] that all requests share.
//! - The rows are written after the object. The object is removed if its rows certainly do not exist. It
//!   stays if they may exist.

mod budget;
mod commit;
mod error;
mod form;
mod head;
mod incoming;
mod limited_body;
mod multipart;
mod original;
mod original_store;
mod part;
mod progress;
mod receive;
mod settings;
mod transfer;

pub use self::{
    budget::MemoryBudget,
    commit::{Acceptance, AcceptedPhoto},
    error::UploadError,
    form::{FormError, MAX_FORM_PARTS, boundary},
    incoming::parse_taken_at_in_query,
    original_store::OriginalStore,
    receive::{Upload, UploadReceiver},
    settings::{MIN_PART_BYTES, UploadSettings},
};
