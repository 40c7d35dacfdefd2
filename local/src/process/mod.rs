//! Processes: how one is started, watched and ended.

mod daemon;
mod ending;
mod identity;
pub(crate) mod journal;
mod program;
mod spawner;

pub use daemon::Daemon;
pub(crate) use daemon::tail;
pub use identity::Identity;
pub(crate) use program::find_on_path;
pub use program::{Account, Lifetime, Program, program};
