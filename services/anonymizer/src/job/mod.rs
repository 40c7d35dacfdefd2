//! One job from start to end.
//!
//! get → anonymise → put → publish the result (confirmed) → delete the
//! original → ack. Every arrow may be the last thing that this process does;
//! whoever gets the message next begins anew and comes to the same end:
//! - Output is written again, the same bytes to the same key.
//! - The original is deleted only after the confirmed result, so as long as
//!   the result may not have arrived there is an original to begin with.
//! - Original gone and output there: only the ack was missing, or another
//!   worker was quicker; the result is given again.

mod assignment;
mod objects;
mod order;
mod report;
mod verdict;
mod worker;

pub use assignment::{Assignment, Buckets, Origin, Rejection};
pub use order::Order;
pub use report::{Ending, Report, Sizes};
pub use worker::{Stopped, Worker};
