//! From the bytes that a program or the kubelet wrote to the one shape that
//! all log lines have.
//!
//! The way of a line: [`Cri`] (or [`timestamped`]) takes off what the
//! container runtime put before it, a [`Joiner`] puts together what was taken
//! apart, [`normalize`] makes a [`Document`] of it, with what is known of its
//! [`Origin`].
//!
//! Architecture invariants: no input or output, no clock. The same line has
//! the same [`Document`], its id included, whichever way it came; Fluentd's
//! plugin gives the very same, which the cases in `fluentd/golden` check. No
//! line is refused: what has no place in the schema goes to `fields`.

mod cri;
mod document;
mod joiner;
mod normalize;
mod origin;
mod prefix;
mod tidy;
mod time;

pub use cri::{Cri, Stream, timestamped};
pub use document::{Contradiction, Document, DocumentError, conforms};
pub use joiner::{Joiner, Line, MAX_TRACE_BYTES, MAX_TRACE_LINES, PARTIAL_WAIT, TRACE_WAIT};
pub use normalize::normalize;
pub use origin::{Metadata, Origin, Place, Pod, Pods, PodsError};
pub use tidy::{Scalar, Tidy};
pub use time::Time;
