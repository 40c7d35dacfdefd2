//! Container logs as a Kubernetes node writes them.

mod files;
mod writer;

pub use files::{Limits, Stream};
pub(crate) use files::{make_fifo, read_output};
pub use writer::run;
