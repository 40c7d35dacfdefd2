//! Settings from environment variables. All mistakes are reported at once, no value is shown, and the
//! documentation is generated from the reads.

pub mod documentation;
mod environment;
mod mistakes;
mod reader;
pub mod units;

pub use documentation::{Variable, markdown_table};
pub use environment::{Environment, ProcessEnvironment};
pub use mistakes::{Mistake, Mistakes};
pub use reader::Reader;
