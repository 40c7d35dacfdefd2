//! One job from start to end.
//!
//! get → anonymise → put → publish the result (confirmed) → delete the original → ack. The process may die at every
//! arrow. The worker that gets the message next starts again and reaches the same end:
//! - It writes the output again: the same bytes to the same key.
//! - The original is deleted only after the result is confirmed. So the original exists
//!   as long as the result may be lost.
//! - If the original is gone and the output exists, only the ack was missing or another
//!   worker was faster. The worker publishes the result again.

mod objects;
mod report;
mod result;
mod task;
mod worker;

pub use report::{Completion, JobReport, PhotoSizes};
pub use task::{InvalidJob, JobEnvelope, PhotoOwner, PhotoTask};
pub use worker::{Unfinished, Worker};
