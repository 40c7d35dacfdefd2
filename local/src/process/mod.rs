//! Starts, supervises and ends processes.

mod daemon;
mod fingerprint;
mod identity;
pub(crate) mod journal;
mod output;
mod program;
mod spawner;
mod termination;

pub use daemon::Daemon;
pub(crate) use daemon::{DaemonRecord, tail};
pub use identity::Identity;
pub(crate) use output::ContainerLog;
pub use output::Output;
pub use program::{Account, Lifetime, Program, program};
pub(crate) use program::{find_on_path, local_program};
