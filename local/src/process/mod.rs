//! Processes: how one is started, watched and ended.

mod daemon;
mod ending;
mod identity;
pub(crate) mod journal;
mod origin;
mod output;
mod program;
mod spawner;

pub use daemon::Daemon;
pub(crate) use daemon::{DaemonRecord, tail};
pub use identity::Identity;
pub(crate) use output::Container;
pub use output::Output;
pub use program::{Account, Lifetime, Program, program};
pub(crate) use program::{find_on_path, local};
