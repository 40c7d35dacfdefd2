//! Settings from the environment: every mistake is told at once, no secret is
//! ever shown, and the documentation is made from the reading itself.

pub mod documentation;
mod environment;
mod mistakes;
mod reader;
pub mod units;

pub use documentation::{Variable, markdown_table};
pub use environment::{Environment, ProcessEnvironment};
pub use mistakes::{Mistake, Mistakes};
pub use reader::Reader;
