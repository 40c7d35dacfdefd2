//! Verdicts on photos: from the workers (`images.results`) and from the
//! broker (`images.dead`) into the photo rows.
//!
//! - A message is acknowledged after the commit that its verdict is part of,
//!   so that no death of this process loses one.
//! - Updates are guarded: `anonymized` is final, and a verdict that comes
//!   twice changes nothing.
//! - While PostgreSQL is away messages are held. An outage is never held
//!   against a message.
//! - What belongs to no photo, or names an output that is not the photo's own,
//!   is parked, confirmed, for a person to look at.

mod apply;
mod batch;
mod consume;
mod verdict;

pub use self::{
    apply::{Answer, Applied, apply},
    consume::{Inbox, PREFETCH, ResultsConsumer},
    verdict::{Unattributable, Verdict},
};
