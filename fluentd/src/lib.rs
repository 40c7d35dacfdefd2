//! Runs the real Fluentd with the configuration and the plugins of this
//! folder, between log files as the kubelet writes them and a stand-in for
//! the servers that it talks to. For tests only.

pub mod gate;
pub mod kubelet;
pub mod process;
pub mod servers;

use std::path::PathBuf;

/// The folder with `fluent.conf`, `plugins` and `golden`.
#[must_use]
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
