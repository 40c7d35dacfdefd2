//! Processes: how one is started, watched and ended.

mod daemon;
mod identity;
mod program;
mod spawner;

pub use daemon::Daemon;
pub(crate) use daemon::tail;
pub use identity::Identity;
pub use program::{Account, Lifetime, Program};
pub(crate) use program::{beside, find_on_path};
