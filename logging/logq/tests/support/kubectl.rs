//! The program that stands in for kubectl where there is no cluster.

use std::{path::PathBuf, process::Command, sync::Once};

static BUILT: Once = Once::new();

/// Where it is. A run of all tests builds it beforehand, as every example; a
/// run of one test file does not.
pub fn stand_in() -> PathBuf {
    let programs = PathBuf::from(env!("CARGO_BIN_EXE_logq"));
    let name = format!("kubectl-stand-in{}", std::env::consts::EXE_SUFFIX);
    let path = programs.with_file_name("examples").join(name);
    BUILT.call_once(|| {
        if !path.exists() {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "-p", "logq", "--example", "kubectl-stand-in"]);
            if programs
                .parent()
                .is_some_and(|profile| profile.ends_with("release"))
            {
                cargo.arg("--release");
            }
            assert!(cargo.status().unwrap().success(), "{} is missing", path.display());
        }
    });
    path
}
