//! Tests of the configuration file, variables, views and the pager.

#![expect(clippy::unwrap_used, reason = "a test fails with a panic")]

mod file;
mod pager;
mod views;
mod width;
#[path = "../support/world.rs"]
#[expect(dead_code, reason = "other tests use its cases")]
mod world;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

/// A home directory with the pods of [`world`] and an optional configuration file.
struct Home {
    folder: TempDir,
    pods: PathBuf,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pods = world::write(folder.path());
        Self { folder, pods }
    }

    /// Writes the configuration file at its default location.
    fn with(config: &str) -> Self {
        let home = Self::new();
        let path = home.config();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, config).unwrap();
        chmod(&path, 0o644);
        home
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn config(&self) -> PathBuf {
        self.path().join(".config/logq/config.toml")
    }

    /// `logq` in this home directory, with an empty environment.
    fn logq(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_logq"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("TZ", "UTC")
            .env("HOME", self.path());
        command
    }

    /// The output as text, with the home directory replaced by HOME.
    fn normalized(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        text.replace(&self.path().display().to_string(), "HOME")
    }

    fn out(&self, output: &Output) -> String {
        self.normalized(&output.stdout)
    }

    fn errors(&self, output: &Output) -> String {
        self.normalized(&output.stderr)
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
