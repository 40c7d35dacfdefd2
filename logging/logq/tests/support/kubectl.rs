//! The program that stands in for kubectl where there is no cluster.

use std::path::PathBuf;

/// Where it is.
pub fn stand_in() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_kubectl-stand-in"))
}
