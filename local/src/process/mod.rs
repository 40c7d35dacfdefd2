//! Starts, supervises and ends processes.

mod account;
mod daemon;
mod fingerprint;
mod identity;
pub(crate) mod journal;
mod output;
mod program;
mod spawner;
mod termination;

pub use account::Account;
pub(crate) use account::{create_private_directory, is_root, set_owner};
pub use daemon::Daemon;
pub(crate) use daemon::{DaemonRecord, tail};
pub use identity::ProcessIdentity;
pub(crate) use output::ContainerLog;
pub use output::LogDestination;
pub use program::{Lifetime, Program};
