//! Verdicts on photos: from the workers (`images.results`) and the broker (`images.dead`) into the photo rows.
//!
//! - A message is acknowledged after the commit of its verdict, so that a crash loses none.
//! - Updates are guarded: `anonymized` is final, and a repeated verdict changes nothing.
//! - While PostgreSQL is unavailable, messages are kept and retried. An outage never counts against a
//!   message.
//! - A message that belongs to no photo, or names an output that is not the photo's own, is parked for a
//!   person.

mod apply;
mod batch;
mod consumer;
mod verdict;

pub use self::{
    apply::{AppliedVerdict, VerdictEffect, apply_verdicts},
    consumer::{PREFETCH, ResultsConsumer, VerdictSource},
    verdict::UnusableMessage,
};
