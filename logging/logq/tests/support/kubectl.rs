//! The program that replaces kubectl.

use std::path::PathBuf;

/// Its path.
pub fn stand_in() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_kubectl-stand-in"))
}
