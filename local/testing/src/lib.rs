//! What tests of several crates share: a fault proxy, waiting for a condition, and TLS before a server.

#![allow(missing_docs, reason = "a name that says it all needs no comment")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod eventually;
pub mod fault_proxy;
pub mod tls;

pub use eventually::{Condition, TIME_LIMIT, eventually, eventually_within};
pub use fault_proxy::{Behaviour, FaultProxy};
